/**
 * The static types of policy expressions: the part of CEL (cel-spec "Values") that facts consist of. `instant` is a
 * moment that only `age()` and `expires()` can look at; `duration` exists only as the constant it is compared with;
 * `never` is the element of the empty list.
 */
export type Type =
  | {
      readonly kind: 'bool' | 'int' | 'string' | 'null' | 'never' | 'instant' | 'age' | 'duration';
      readonly nullable?: true;
    }
  | { readonly kind: 'list'; readonly of: Type; readonly nullable?: true }
  | {
      readonly kind: 'record';
      readonly name: string;
      readonly fields: Readonly<Record<string, Type>>;
      readonly nullable?: true;
    };

/** What expressions compute with. Integers are 64 bit; instants are RFC 3339 text. */
export type Value = null | boolean | bigint | string | readonly Value[] | Fields;
export interface Fields {
  readonly [field: string]: Value;
}

/** An evaluation error as a value, because `&&` and `||` may absorb it (cel-spec "Logical Operators"). */
export class CelFailure {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

export type Outcome = Value | CelFailure;

export const bool: Type = { kind: 'bool' };
export const int: Type = { kind: 'int' };
export const string: Type = { kind: 'string' };
export const instant: Type = { kind: 'instant' };
export const optionalInstant: Type = { kind: 'instant', nullable: true };
export const optionalString: Type = { kind: 'string', nullable: true };
export const listOf = (of: Type): Type => ({ kind: 'list', of });
export const record = (name: string, fields: Readonly<Record<string, Type>>): Type => ({
  kind: 'record',
  name,
  fields,
});

/** `list(string)`, `file`, `int or null`. */
export function describe(type: Type): string {
  const bare =
    type.kind === 'list' ? `list(${describe(type.of)})` : type.kind === 'record' ? type.name : type.kind;
  return type.nullable === true ? `${bare} or null` : bare;
}

/** May a value of one type stand where the other is asked for? The empty list fits every list. */
export function fits(given: Type, wanted: Type): boolean {
  if (given.nullable === true && wanted.nullable !== true) return false;
  if (given.kind === 'never') return true;
  if (given.kind === 'null') return wanted.nullable === true || wanted.kind === 'null';
  if (given.kind === 'list' && wanted.kind === 'list') return fits(given.of, wanted.of);
  if (given.kind === 'record' && wanted.kind === 'record') return given.name === wanted.name;
  return given.kind === wanted.kind;
}
