import { spawnSync } from 'node:child_process';

/** The words that run a program in a network namespace of its own; undefined where this machine forbids it. */
export function withoutNetwork(): readonly string[] | undefined {
  const ways = [
    ['unshare', '-n'],
    ['unshare', '-r', '-n'],
  ];
  return ways.find(
    ([program = '', ...words]) => spawnSync(program, [...words, 'true'], { stdio: 'ignore' }).status === 0,
  );
}
