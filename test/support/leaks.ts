/** What no answer may carry, as patterns with the name of the leak. */
export interface LeakDetector {
  /** Names of everything that this text gives away; empty is what it should be. */
  find(text: string): readonly string[];
}

/** `secrets`: exact texts such as directories, tokens and hosts, by the name that a finding gets. */
export function openLeakDetector(secrets: Readonly<Record<string, string>>): LeakDetector {
  const patterns: readonly (readonly [string, RegExp])[] = [
    ['a stack', /\n?\s+at (?:async )?[\w.<>[\] ]+ \(|\.(?:ts|js|mjs|cjs):\d+:\d+/],
    ['a source path', /node_modules|file:\/\/|\/src\/(?:app|gates|lib|adapters|producers)\//],
    ['a path of the machine', /(?:^|[\s"'`(=:])\/(?:root|home|tmp|work|var|proc|usr|opt|run|srv|mnt)\//m],
  ];
  return {
    find: (text) => [
      ...Object.entries(secrets)
        .filter(([, secret]) => text.includes(secret))
        .map(([name]) => name),
      ...patterns.filter(([, pattern]) => pattern.test(text)).map(([name]) => name),
    ],
  };
}
