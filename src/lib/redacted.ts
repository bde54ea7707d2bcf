import { inspect } from 'node:util';

const hidden = '[redacted]';

/** A secret that cannot be printed, logged or serialised by accident. `reveal()` is the only way out; grep for it. */
export class Redacted<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return hidden;
  }

  toJSON(): string {
    return hidden;
  }

  [inspect.custom](): string {
    return hidden;
  }
}
