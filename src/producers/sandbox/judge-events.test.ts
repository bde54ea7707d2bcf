import assert from 'node:assert/strict';
import test from 'node:test';
import { judgeEvent } from './judge-events.ts';
import type { SandboxEvent } from './runner-port.ts';

const roots = ['/opt/venv'];
const failed = undefined;
const open = (path: string, rest: Partial<Extract<SandboxEvent, { kind: 'open' }>> = {}): SandboxEvent => {
  return { kind: 'open', path, opened: path, write: false, failed, ...rest };
};

const cases: readonly (readonly [SandboxEvent, grade: string | undefined, words?: string])[] = [
  [open('/opt/venv/lib/x.py'), undefined],
  [open('/usr/lib/libc.so.6'), undefined],
  [open('/artifact/model.pt'), undefined],
  [open('/proc/self/maps'), undefined],
  [open('/proc/12/maps'), undefined],
  [open('/tmp/x', { failed: 'ENOENT', opened: undefined }), undefined],
  [open('/tmp/x', { write: true }), 'note', 'wrote `/tmp/x`'],
  [open('/tmpx/x', { write: true }), 'act', 'wrote `/tmpx/x`'],
  [
    open('/artifact/m', { write: true, failed: 'EROFS', opened: undefined }),
    'act',
    'tried to write `/artifact/m`',
  ],
  [open('/etc/shadow', { failed: 'ENOENT', opened: undefined }), 'act', 'tried to open `/etc/shadow`'],
  [open('/tmp/link', { opened: '/etc/passwd' }), 'act', 'opened `/etc/passwd`'],
  [open('/optional', {}), 'act', 'opened `/optional`'],
  [open('/proc/self/environ'), 'act', 'opened `/proc/self/environ`'],
  [open('/proc/self/mem', { write: true }), 'act', 'wrote `/proc/self/mem`'],
  [open('x', { write: true, failed: 'EROFS', opened: undefined }), 'act', 'tried to write `x`'],
  [
    { kind: 'exec', failed, path: '/opt/venv/bin/python', words: ['python', '-c', 'a\nb'] },
    'act',
    String.raw`started ${'`'}python:/bin/python -c a\u{a}b${'`'}`,
  ],
  [
    { kind: 'exec', failed: 'ENOENT', path: '/bin/curl', words: ['curl'] },
    'act',
    'tried to start `/bin/curl`',
  ],
  [{ kind: 'process', failed }, 'act', 'started a process'],
  [{ kind: 'network', failed, call: 'socket', address: 'AF_INET' }, 'act', 'used a socket `AF_INET`'],
  [
    { kind: 'change', failed: 'EROFS', call: 'unlink', paths: ['/artifact/m'] },
    'act',
    'tried to unlink `/artifact/m`',
  ],
  [{ kind: 'change', failed, call: 'unlink', paths: ['/tmp/m'] }, 'note', 'unlink `/tmp/m`'],
  [{ kind: 'change', failed, call: 'rename', paths: ['/tmp/m', '/etc/m'] }, 'act'],
  [{ kind: 'reach', failed, call: 'ptrace', refused: true }, 'act', 'called `ptrace`, which no loader needs'],
];

for (const [event, grade, words] of cases) {
  test(`${grade ?? 'nothing'}: ${JSON.stringify(event)}`, () => {
    const deed = judgeEvent(event, roots);
    assert.equal(deed?.grade, grade);
    if (words !== undefined) assert.equal(deed?.words, words);
  });
}
