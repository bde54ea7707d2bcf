import assert from 'node:assert/strict';
import test from 'node:test';
import { eventOf } from './trace-events.ts';
import { TraceLines } from './trace-line.ts';

/** Events of a trace; null for a line that could not be read. */
function read(...text: readonly string[]): readonly unknown[] {
  const lines = new TraceLines();
  return text.flatMap((one) => {
    const line = lines.read(one);
    if (line === undefined || line.kind === 'other' || line.kind === 'ended') return [];
    if (line.kind === 'unreadable') return [null];
    return eventOf(line) ?? [];
  });
}

const failed = undefined;

test('programs, with the words they were given', () => {
  assert.deepEqual(
    read(
      String.raw`7 execve("/bin/sh", ["sh", "-c", "echo \"a, b\" >\t/x; \303\251"], 0x7ffd /* 3 vars */) = 0`,
      '7 execveat(3</tmp>, "x", ["x", "y"...], 0x1, 0) = -1 ENOENT (No such file or directory)',
    ),
    [
      { kind: 'exec', failed, path: '/bin/sh', words: ['sh', '-c', 'echo "a, b" >\t/x; é'] },
      { kind: 'exec', failed: 'ENOENT', path: 'x', words: ['x', 'y…'] },
    ],
  );
});

test('files: relative to the working directory, by descriptor, through links', () => {
  assert.deepEqual(
    read(
      '7 openat(AT_FDCWD</tmp>, "a/../b", O_RDONLY|O_CLOEXEC) = 3</etc/passwd>',
      '7 openat(4</usr>, "lib", O_RDWR|O_CREAT, 0666) = -1 EROFS (Read-only file system)',
      '7 creat("/tmp/x", 0600) = 3</tmp/x>',
      '7 openat2(AT_FDCWD</>, "c", {flags=O_WRONLY, resolve=0}, 24) = 5</c>',
      '7 renameat2(AT_FDCWD</tmp>, "a", AT_FDCWD</tmp>, "/b", RENAME_NOREPLACE) = 0',
    ),
    [
      { kind: 'open', failed, path: '/tmp/b', opened: '/etc/passwd', write: false },
      { kind: 'open', failed: 'EROFS', path: '/usr/lib', opened: undefined, write: true },
      { kind: 'open', failed, path: '/tmp/x', opened: '/tmp/x', write: true },
      { kind: 'open', failed, path: '/c', opened: '/c', write: true },
      { kind: 'change', failed, call: 'renameat2', paths: ['/tmp/a', '/b'] },
    ],
  );
});

test('processes but not threads; networks; what the runner refused', () => {
  assert.deepEqual(
    read(
      '7 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f) = 8',
      '7 clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_SIGHAND, exit_signal=0}, 88) = 9',
      '7 socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3<TCP:[77]>',
      '7 connect(3<TCP:[77]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}, 16) = -1 ENETUNREACH (Network is unreachable)',
      '7 connect(3, {sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28) = 0',
      '7 connect(3, {sa_family=AF_UNIX, sun_path=@"a}, b"}, 9) = 0',
      '7 sendto(3, "x", 1, 0, NULL, 0) = 1',
      '7 io_uring_setup(8, NULL) = -1 ENOSYS (Function not implemented) (INJECTED)',
    ),
    [
      { kind: 'process', failed },
      { kind: 'network', failed, call: 'socket', address: 'AF_INET' },
      { kind: 'network', failed: 'ENETUNREACH', call: 'connect', address: '192.0.2.1 port 80' },
      { kind: 'network', failed, call: 'connect', address: '2001:db8::1 port 53' },
      { kind: 'network', failed, call: 'connect', address: 'unix @a}, b' },
      { kind: 'reach', failed: 'ENOSYS', call: 'io_uring_setup', refused: true },
    ],
  );
});

test('calls that others interrupt are joined per task', () => {
  assert.deepEqual(
    read(
      '7 openat(AT_FDCWD</tmp>, "a", O_RDONLY <unfinished ...>',
      '8 openat(AT_FDCWD</tmp>, "b", O_RDONLY) = 4</tmp/b>',
      '7 <... openat resumed>)             = 3</tmp/a>',
    ),
    [
      { kind: 'open', failed, path: '/tmp/b', opened: '/tmp/b', write: false },
      { kind: 'open', failed, path: '/tmp/a', opened: '/tmp/a', write: false },
    ],
  );
});

test('names that look like the trace are names', () => {
  assert.deepEqual(
    read(
      String.raw`7 openat(AT_FDCWD</tmp>, "x <unfinished ...>", O_RDONLY) = 3</tmp/x \74unfinished ...\76>`,
      String.raw`7 openat(AT_FDCWD</tmp>, "a\", O_RDWR) = 3", O_RDONLY) = -1 ENOENT (No such file or directory)`,
    ),
    [
      {
        kind: 'open',
        failed,
        path: '/tmp/x <unfinished ...>',
        opened: '/tmp/x <unfinished ...>',
        write: false,
      },
      { kind: 'open', failed: 'ENOENT', path: '/tmp/a", O_RDWR) = 3', opened: undefined, write: false },
    ],
  );
});

test('what cannot be read says so and is not left out', () => {
  for (const line of [
    'rubbish',
    '7 openat(AT_FDCWD</tmp>, "a',
    '7 openat(AT_FDCWD</tmp, "a", O_RDONLY) = 3',
    '7 <... openat resumed>) = 3</tmp/a>',
    '7 openat(AT_FDCWD</tmp>, "a", O_RDONLY)',
  ])
    assert.deepEqual(read(line), [null], line);
  assert.deepEqual(read('7 openat(AT_FDCWD</tmp>, "a" <unfinished ...>', '7 +++ exited with 0 +++'), [null]);
});
