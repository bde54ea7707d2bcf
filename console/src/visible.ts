/** A run of plain text, or one character that would deceive or vanish if it were shown as it is. */
export type Piece =
  | { readonly kind: 'plain'; readonly text: string }
  | { readonly kind: 'mark'; readonly codePoint: string; readonly name: string };

const names: Readonly<Record<string, string>> = {
  '000A': 'line break',
  '000D': 'carriage return',
  '0009': 'tab',
  '0000': 'NUL',
  '001B': 'escape',
  '200B': 'zero-width space',
  '202A': 'left-to-right embedding',
  '202B': 'right-to-left embedding',
  '202C': 'end of direction',
  '202D': 'left-to-right override',
  '202E': 'right-to-left override',
  '2066': 'left-to-right isolate',
  '2067': 'right-to-left isolate',
  '2068': 'first-strong isolate',
  '2069': 'end of isolate',
  FEFF: 'byte order mark',
};

/**
 * Cuts text that comes from artifacts into what can be shown and what must be made visible: controls (C0, C1), bidi
 * controls (UAX #9), zero-width and other format characters, line separators, tags, lone surrogates, private use.
 */
export function cutVisible(text: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let plain = '';
  for (const character of text) {
    if (!/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u3164\u115F\u1160\uFFA0]/u.test(character)) {
      plain += character;
      continue;
    }
    if (plain !== '') pieces.push({ kind: 'plain', text: plain });
    plain = '';
    const codePoint = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    pieces.push({ kind: 'mark', codePoint, name: names[codePoint] ?? 'invisible character' });
  }
  if (plain !== '') pieces.push({ kind: 'plain', text: plain });
  return pieces;
}

/** The same text for a name that is only spoken: what would deceive is spelled out. */
export function spellVisible(text: string): string {
  return cutVisible(text)
    .map((piece) => (piece.kind === 'plain' ? piece.text : `U+${piece.codePoint}`))
    .join('');
}
