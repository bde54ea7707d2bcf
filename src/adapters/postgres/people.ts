import { randomUUID } from 'node:crypto';
import type { Database } from './database.ts';
import { oneRow, textOf } from './rows.ts';

/** A person as the namespace knows them. `person` is random, so that nothing in signed history leads to the claim. */
export interface Person {
  readonly person: string;
  /** The configured identity claim, e.g. `https://idp.example#sub`. */
  readonly claim: string;
  readonly displayName: string;
}

/** The erasable table between pseudonyms in signed evidence and people (DESIGN §1a "Privacy"). */
export interface People {
  /** The pseudonym of this claim, made at first sight. */
  identify(namespace: string, claim: string, displayName: string): Promise<Person>;
  /** Who these pseudonyms are; erased ones are missing from the answer. */
  find(namespace: string, persons: readonly string[]): Promise<ReadonlyMap<string, Person>>;
  /** Forgets who a pseudonym was, for ever: the same claim gets a new one later. False where it is not known. */
  erase(namespace: string, person: string): Promise<boolean>;
}

export function openPeople(database: Database): People {
  return {
    identify: async (namespace, claim, displayName) => {
      const rows = await database.ask(namespace, {
        text: `INSERT INTO weighbridge.person (namespace, person, claim, display_name) VALUES ($1, $2, $3, $4)
          ON CONFLICT (namespace, claim) DO UPDATE SET display_name = excluded.display_name RETURNING person`,
        values: [namespace, `person-${randomUUID()}`, claim, displayName],
      });
      return { person: textOf(oneRow(rows), 'person'), claim, displayName };
    },
    find: async (namespace, persons) => {
      const rows = await database.ask(namespace, {
        text: 'SELECT person, claim, display_name FROM weighbridge.person WHERE namespace = $1 AND person = ANY ($2)',
        values: [namespace, persons],
      });
      return new Map(
        rows.map((row) => {
          const person = textOf(row, 'person');
          return [person, { person, claim: textOf(row, 'claim'), displayName: textOf(row, 'display_name') }];
        }),
      );
    },
    erase: async (namespace, person) => {
      const rows = await database.ask(namespace, {
        text: 'DELETE FROM weighbridge.person WHERE namespace = $1 AND person = $2 RETURNING person',
        values: [namespace, person],
      });
      return rows.length === 1;
    },
  };
}
