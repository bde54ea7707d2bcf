/** `90.9 MB`, in powers of ten, as disks and hubs count. */
export function formatSize(sizeBytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  const power = sizeBytes < 1000 ? 0 : Math.min(Math.floor(Math.log10(sizeBytes) / 3), units.length - 1);
  const value = sizeBytes / 1000 ** power;
  return `${power === 0 ? value : Number(value.toPrecision(3))} ${units[power] ?? ''}`;
}

/** `21 Nov 2026, 09:12 UTC`; text that is no instant is shown as it is. */
export function formatInstant(instant: string): string {
  const time = Date.parse(instant);
  if (Number.isNaN(time)) return instant;
  const day = new Intl.DateTimeFormat('en-GB', {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    timeZone: 'UTC',
  });
  return `${day.format(time)} UTC`;
}

/** `in 3 days`, `2 hours ago`. */
export function formatDistance(instant: string, nowMs: number): string {
  const seconds = (Date.parse(instant) - nowMs) / 1000;
  const steps: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
    ['day', 86_400],
    ['hour', 3600],
    ['minute', 60],
  ];
  const [unit, size] = steps.find(([, length]) => Math.abs(seconds) >= length) ?? (['second', 1] as const);
  return new Intl.RelativeTimeFormat('en', { numeric: 'auto' }).format(Math.round(seconds / size), unit);
}

/** `sha256:1f3a…9c2e`: the two ends that people compare. */
export function shortDigest(digest: string): string {
  const hex = digest.replace(/^sha256:/, '');
  return hex.length <= 16 ? digest : `${hex.slice(0, 8)}…${hex.slice(-6)}`;
}

/** `1 file`, `1 203 files` with a thin space between thousands. */
export function count(number: number, noun: string): string {
  const digits = String(number).replace(/\B(?=(\d{3})+$)/g, '\u2009');
  return `${digits} ${noun}${number === 1 ? '' : 's'}`;
}

/** `12 s`, `3 min 20 s`, `2 h 5 min`: how long something takes. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) {
    const rest = whole % 60;
    return rest === 0 ? `${whole / 60} min` : `${Math.floor(whole / 60)} min ${rest} s`;
  }
  const minutes = Math.round(whole / 60);
  const hours = Math.floor(minutes / 60);
  if (hours >= 48) return `${Math.floor(hours / 24)} days`;
  return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
}

/** Coarse, because a pace is: `about 40 s`, `about 12 min`, `about 3 h`. */
export function formatLeft(seconds: number): string {
  if (seconds < 5) return 'a few seconds';
  if (seconds < 55) return `about ${Math.round(seconds / 5) * 5} s`;
  if (seconds < 5400) return `about ${Math.max(1, Math.round(seconds / 60))} min`;
  return seconds < 172_800 ? `about ${Math.round(seconds / 3600)} h` : 'days';
}

/** `09:12:44 UTC`. */
export function formatClock(instant: string): string {
  return /T(\d\d:\d\d:\d\d)/.exec(instant)?.[1]?.concat(' UTC') ?? instant;
}
