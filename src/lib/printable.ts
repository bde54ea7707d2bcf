/**
 * Text from others, made safe to show in a terminal, a log line or a header: every control character (CR, LF and
 * ESC too), bidirectional control, line or paragraph separator, unassigned or private character and lone surrogate
 * becomes `\u{…}`; a backslash is doubled, so that the result says exactly what stood there. At most `maxLength`
 * UTF-16 units are shown, then `…`.
 */
export function printable(text: string, maxLength = 2_000): string {
  const cut = text.length > maxLength;
  const shown = (cut ? text.slice(0, maxLength) : text).replaceAll(/[\\\p{C}\p{Zl}\p{Zp}]/gu, (character) =>
    character === '\\' ? '\\\\' : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
  return cut ? `${shown}…` : shown;
}
