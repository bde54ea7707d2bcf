import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import { encodeJcs, encodeJcsText } from './jcs.ts';

const rejects = (value: unknown, code = 'json.invalid'): void => {
  assert.throws(() => encodeJcs(value), { name: 'Fault', code });
};

test('RFC 8785 §3.2.2: the sample object', () => {
  const input =
    '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],' +
    '"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}';
  assert.equal(
    Buffer.from(encodeJcs(JSON.parse(input))).toString('hex'),
    Buffer.from(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    ).toString('hex'),
  );
});

test('RFC 8785 §3.2.3: members in UTF-16 code-unit order', () => {
  const input = {
    '\u20ac': 'Euro Sign',
    '\r': 'Carriage Return',
    '\ufb33': 'Hebrew Letter Dalet With Dagesh',
    '1': 'One',
    '\ud83d\ude00': 'Emoji: Grinning Face',
    '\u0080': 'Control',
    '\u00f6': 'Latin Small Letter O With Diaeresis',
  };
  const order = [...encodeJcsText(input).matchAll(/:"([A-Z][^"]*)"/g)].map((match) => match[1]);
  assert.deepEqual(order, [
    'Carriage Return',
    'One',
    'Control',
    'Latin Small Letter O With Diaeresis',
    'Euro Sign',
    'Emoji: Grinning Face',
    'Hebrew Letter Dalet With Dagesh',
  ]);
});

const appendixB: readonly (readonly [string, string])[] = [
  ['0000000000000000', '0'],
  ['8000000000000000', '0'],
  ['0000000000000001', '5e-324'],
  ['8000000000000001', '-5e-324'],
  ['7fefffffffffffff', '1.7976931348623157e+308'],
  ['ffefffffffffffff', '-1.7976931348623157e+308'],
  ['4340000000000000', '9007199254740992'],
  ['c340000000000000', '-9007199254740992'],
  ['4430000000000000', '295147905179352830000'],
  ['44b52d02c7e14af5', '9.999999999999997e+22'],
  ['44b52d02c7e14af6', '1e+23'],
  ['44b52d02c7e14af7', '1.0000000000000001e+23'],
  ['444b1ae4d6e2ef4e', '999999999999999700000'],
  ['444b1ae4d6e2ef4f', '999999999999999900000'],
  ['444b1ae4d6e2ef50', '1e+21'],
  ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
  ['3eb0c6f7a0b5ed8d', '0.000001'],
  ['41b3de4355555553', '333333333.3333332'],
  ['41b3de4355555554', '333333333.33333325'],
  ['41b3de4355555555', '333333333.3333333'],
  ['41b3de4355555556', '333333333.3333334'],
  ['41b3de4355555557', '333333333.33333343'],
  ['becbf647612f3696', '-0.0000033333333333333333'],
  ['43143ff3c1cb0959', '1424953923781206.2'],
];

test('RFC 8785 appendix B: numbers', () => {
  for (const [bits, text] of appendixB) {
    assert.equal(encodeJcsText(Buffer.from(bits, 'hex').readDoubleBE()), text, bits);
  }
  for (const bits of ['7fffffffffffffff', '7ff0000000000000', 'fff0000000000000']) {
    rejects(Buffer.from(bits, 'hex').readDoubleBE());
  }
});

test('what has no JSON form is refused, not dropped', () => {
  rejects('\ud800');
  rejects({ ['a\udc00']: 1 });
  rejects(['\udc00\ud800']);
  rejects(undefined);
  rejects({ a: undefined });
  rejects([1, undefined]);
  // oxlint-disable-next-line no-sparse-arrays
  rejects([1, , 2]);
  rejects(10n);
  rejects(() => 1);
  rejects(Symbol('s'));
  rejects(new Date(0));
  rejects(new Map([['a', 1]]));
  rejects(new Uint8Array(2));
  const cycle: unknown[] = [];
  cycle.push(cycle);
  rejects(cycle, 'limit.exceeded');
});

test('toJSON is never called and __proto__ is a member like others', () => {
  rejects({ toJSON: () => 1 });
  assert.equal(encodeJcsText(JSON.parse('{"b":1,"__proto__":{"a":2}}')), '{"__proto__":{"a":2},"b":1}');
});

test('parsing gives back the value, and encoding does not depend on member order', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
      const text = encodeJcsText(value);
      assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)));
      assert.equal(encodeJcsText(JSON.parse(text)), text);
      assert.equal(encodeJcsText(reverseMembers(value)), text);
      assert.deepEqual(new TextDecoder().decode(encodeJcs(value)), text);
    }),
  );
});

function reverseMembers(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reverseMembers);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).reverse();
  return Object.fromEntries(entries.map(([key, member]) => [key, reverseMembers(member)]));
}
