import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SandboxOutcome } from '#evidence/predicates.ts';
import type { SandboxLimits } from '#producers/sandbox/runner-port.ts';
import { actsOf, executingPickle, missingSandbox, runSandbox, systemPython } from '../support/sandbox.ts';
import { root } from '../support/server.ts';

/** A file that stands for the data of whoever runs the sandbox. */
let secrets = '';
before(() => {
  secrets = mkdtempSync(join(tmpdir(), 'weighbridge-secrets-'));
  writeFileSync(join(secrets, 'key.pem'), 'the key of the house');
});
after(() => rmSync(secrets, { recursive: true }));

interface Attack {
  readonly name: string;
  /** Python that the pickle executes while it is loaded. */
  readonly source: () => string;
  readonly outcome?: SandboxOutcome;
  /** Each must be among what the report says it did. */
  readonly acts?: readonly RegExp[];
  readonly reason?: RegExp;
  readonly limits?: Partial<SandboxLimits>;
}

const c = 'import ctypes; libc = ctypes.CDLL(None)\n';
const attacks: readonly Attack[] = [
  {
    name: 'kills whatever it sees, writes into every descriptor, then runs a command: the recording goes on',
    source: () => `
import os
for pid in list(range(1, 60)):
    if pid != os.getpid():
        try: os.kill(pid, 9)
        except OSError: pass
assert not [p for p in os.listdir('/proc') if p.isdigit() and b'strace' in open(f'/proc/{p}/cmdline', 'rb').read()]
for fd in range(0, 64):
    try: os.write(fd, b'1 execve("/bin/true", ["true"], 0x0 /* 0 vars */) = 0\\n')
    except OSError: pass
os.system('id -u')`,
    acts: [/^called `kill`/, /^started `\/bin\/sh -c id -u`$/],
  },
  {
    name: 'says by itself that all was well, and leaves',
    source: () => `
import json, os
os.system('id -g')
line = json.dumps({'libraries': {}, 'steps': [{'outcome': 'loaded', 'detail': None, 'exercised': True, 'outputs': []}]})
for fd in range(1, 16):
    try: os.write(fd, line.encode() + b'\\n')
    except OSError: pass
os._exit(0)`,
    acts: [/^started `\/bin\/sh -c id -g`$/],
  },
  {
    name: 'pretends that the load has not begun',
    source: () => `
import os
for phase in ('start', 'load', 'end'):
    try: open('/weighbridge/phase/' + phase)
    except OSError: pass
os.system('id -n')`,
    acts: [/^started `\/bin\/sh -c id -n`$/],
  },
  {
    name: 'waits for the exit',
    source: () => 'import atexit, os; atexit.register(os.system, "id -a")',
    acts: [/^started `\/bin\/sh -c id -a`$/],
  },
  {
    name: 'looks for secrets',
    source: () => `
import os
os.symlink('/proc/self/environ', '/tmp/link')
for path in ('/etc/shadow', '/root/.ssh/id_ed25519', '/var/lib/weighbridge/keys/evidence.pem', '/proc/1/environ', '/tmp/link'):
    try: print(open(path).read())
    except OSError: pass
assert not os.path.exists('${secrets}')`,
    acts: [
      /^tried to open `\/etc\/shadow`$/,
      /^tried to open `\/root\/.ssh\/id_ed25519`$/,
      /^tried to open `\/var\/lib\/weighbridge\/keys\/evidence.pem`$/,
      /open(?:ed)? `\/proc\/1\/environ`$/,
      /^opened `\/proc\/\d+\/environ`$/,
    ],
  },
  {
    name: 'writes where it is not allowed to',
    source: () => `
import os
for path in ('/artifact/model.pkl', '/usr/bin/new', '/weighbridge/loader.py', '/etc/passwd', '/proc/sys/kernel/core_pattern'):
    try: open(path, 'w')
    except OSError as error: assert error.errno in (30, 13, 1), error
    else: raise SystemExit('it could write ' + path)
try: os.unlink('/artifact/model.pkl')
except OSError: pass`,
    acts: [
      /^tried to write `\/artifact\/model.pkl`$/,
      /^tried to write `\/proc\/sys\/kernel\/core_pattern`$/,
      /^tried to unlink `\/artifact\/model.pkl`$/,
    ],
  },
  {
    name: 'talks to the network',
    source: () => `
import socket
for family, kind, address in (
    (socket.AF_INET, socket.SOCK_STREAM, ('192.0.2.1', 80)),
    (socket.AF_INET6, socket.SOCK_DGRAM, ('2001:db8::1', 53)),
    (socket.AF_UNIX, socket.SOCK_STREAM, '/run/docker.sock'),
    (socket.AF_INET, socket.SOCK_RAW, ('192.0.2.1', 0)),
    (socket.AF_NETLINK, socket.SOCK_RAW, (0, 0)),
    (socket.AF_PACKET, socket.SOCK_RAW, None)):
    try: socket.socket(family, kind).connect(address)
    except OSError: pass
    except TypeError: pass
s = socket.socket(); s.bind(('127.0.0.1', 0))`,
    acts: [
      /^used a socket `AF_INET`$/,
      /^tried to use the network: `192.0.2.1 port 80`$/,
      /^tried to use the network: `2001:db8::1 port 53`$/,
      /^tried to use the network: `unix \/run\/docker.sock`$/,
      /^tried to use a socket `AF_PACKET`$/,
      /^bound the network: `127.0.0.1 port 0`$/,
    ],
  },
  {
    name: 'reaches for the kernel',
    source: () => `${c}
libc.ptrace(0, 0, 0, 0)
libc.unshare(0x10000000)
libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)
libc.syscall(425, 8, 0)
libc.process_vm_readv(1, 0, 0, 0, 0, 0)
assert libc.memfd_create(b'x', 0) == -1`,
    acts: [/`ptrace`/, /`unshare`/, /`mount`/, /`io_uring_setup`/, /`process_vm_readv`/, /`memfd_create`/],
  },
  {
    name: 'climbs through the processes that it can see',
    source: () => `
import os
for pid in [name for name in os.listdir('/proc') if name.isdigit()]:
    for path in ('root/etc/shadow', 'cwd/../../etc/shadow', 'root/var/lib', 'mem'):
        try: print(open(f'/proc/{pid}/{path}', 'rb').read(1))
        except OSError: continue
        assert path == 'mem', path`,
    acts: [/`\/proc\/1\/root\/etc\/shadow`/],
  },
  {
    name: 'forks for ever',
    source: () => 'import os\nwhile True:\n  try: os.fork()\n  except OSError: pass',
    limits: { tasks: 64, wallSeconds: 60 },
    acts: [/^started a process$/],
    reason: /limit of tasks/,
  },
  {
    name: 'sleeps for ever',
    source: () => 'import time; time.sleep(1e6)',
    outcome: 'inconclusive',
    reason: /limit of time/,
    limits: { wallSeconds: 3 },
  },
  {
    name: 'eats memory of its own',
    source: () => 'x = []\nwhile True: x.append(bytearray(16 << 20))',
    outcome: 'failed',
    reason: /MemoryError/,
    limits: { memoryMB: 256 },
  },
  {
    name: 'eats memory that no limit of a process counts',
    source: () => `
import mmap, time
m = mmap.mmap(-1, 1 << 30)
for at in range(0, 1 << 30, 4096): m[at] = 1
time.sleep(1e6)`,
    outcome: 'inconclusive',
    reason: /limit of memory/,
    limits: { memoryMB: 256 },
  },
  {
    name: 'fills the scratch places',
    source: () => `
for n in range(64):
    with open(f'/tmp/{n}', 'wb') as f: f.write(bytes(8 << 20))`,
    outcome: 'failed',
    reason: /No space left|File too large/,
    limits: { scratchMB: 32 },
  },
  {
    name: 'hides in a flood of calls',
    source: () => "while True: open('/usr/bin/env').close()",
    outcome: 'inconclusive',
    reason: /limit of trace/,
    limits: { traceMB: 1 },
  },
  {
    name: 'talks until the reader stops',
    source: () => 'import os\nwhile True: os.write(2, bytes(65536))',
    outcome: 'inconclusive',
    reason: /limit of output/,
  },
  {
    name: 'ends the process before anybody knows what was loaded',
    source: () => 'import os; os._exit(0)',
    outcome: 'inconclusive',
    reason: /without its own, single answer/,
  },
];

for (const attack of attacks) {
  test(`a pickle that ${attack.name}`, { skip: missingSandbox() }, async () => {
    const report = await runSandbox(
      { 'model.pkl': executingPickle(attack.source()) },
      { limits: attack.limits ?? {} },
    );
    const said = JSON.stringify({ outcome: report.outcome, reasons: report.reasons, events: report.events });
    assert.equal(report.outcome, attack.outcome ?? 'acted', said);
    for (const act of attack.acts ?? [])
      assert.ok(
        actsOf(report).some((words) => act.test(words)),
        `${String(act)} is not in ${said}`,
      );
    if (attack.reason !== undefined)
      assert.ok(
        report.reasons.some((reason) => attack.reason?.test(reason)),
        said,
      );
    assert.equal(readFileSync(join(secrets, 'key.pem'), 'utf8'), 'the key of the house');
    assert.deepEqual(leftovers(), [], 'processes of the sandbox are still there');
  });
}

/** Command lines of everything on this machine that is a loader. */
function leftovers(): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .filter((line) => line.startsWith('/usr/bin/python3 -I -B /weighbridge/loader.py'));
}

test('several threads at once give a trace that is read completely', { skip: missingSandbox() }, async () => {
  const source = `
import threading
def busy():
    for n in range(300): open('/usr/bin/env').close()
threads = [threading.Thread(target=busy) for n in range(6)]
[t.start() for t in threads]; [t.join() for t in threads]`;
  const report = await runSandbox({ 'model.pkl': executingPickle(source) });
  assert.equal(report.outcome, 'quiet', JSON.stringify(report));
});

for (const kind of ['bubblewrap', 'unshare'] as const) {
  test(
    `${kind}: a command is caught in its own words, and names that mimic the trace change nothing`,
    {
      skip: missingSandbox(kind),
    },
    async () => {
      const source = `
import os
for name in ('x <unfinished ...>', '\\n1 +++ exited with 0 +++\\n', 'a", O_RDONLY) = 3</tmp/a> "'):
    try: open('/tmp/' + name, 'w')
    except OSError: pass
os.system('echo "$PATH" \\'<... openat resumed>\\'')`;
      const report = await runSandbox({ 'model.pkl': executingPickle(source) }, { kind });
      assert.equal(report.outcome, 'acted');
      assert.equal(report.runner, kind);
      assert.ok(
        actsOf(report).includes('started `/bin/sh -c echo "$PATH" \'<... openat resumed>\'`'),
        JSON.stringify(report.events),
      );
      assert.ok(!report.events.some((event) => event.kind === 'unreadable'), JSON.stringify(report.events));
    },
  );

  test(
    `${kind}: inside there is no capability, no other user namespace, no network, nothing of this machine`,
    {
      skip: missingSandbox(kind),
    },
    async () => {
      const source = `
import os, socket
status = dict(line.split(':\\t', 1) for line in open('/proc/self/status').read().splitlines() if ':\\t' in line)
for name in ('CapPrm', 'CapEff', 'CapBnd', 'CapAmb'): assert int(status[name], 16) == 0, (name, status[name])
assert status['NoNewPrivs'] == '1'
assert [name for _, name in socket.if_nameindex()] in ([], ['lo']), socket.if_nameindex()
assert set(os.environ) <= {'PATH','HOME','USER','LOGNAME','TMPDIR','LANG','PYTHONHASHSEED','PYTHONDONTWRITEBYTECODE','OMP_NUM_THREADS','MKL_NUM_THREADS','OPENBLAS_NUM_THREADS','TOKENIZERS_PARALLELISM','HF_HUB_OFFLINE','TRANSFORMERS_OFFLINE','HF_HUB_DISABLE_TELEMETRY','ORT_DISABLE_TELEMETRY','DO_NOT_TRACK','KERAS_BACKEND','TF_CPP_MIN_LOG_LEVEL','CUDA_VISIBLE_DEVICES','PWD','SHLVL','OLDPWD','LC_CTYPE'}, dict(os.environ)
assert not os.path.exists('${secrets}')
assert sorted(os.listdir('/etc')) == sorted(set(os.listdir('/etc')) & {'alternatives','group','ld.so.cache','nsswitch.conf','passwd'}), os.listdir('/etc')
for place in ('/', '/usr', '/dev', '/artifact', '/proc/sys/kernel', '/etc'):
    try: open(place + '/new-file', 'w')
    except OSError: continue
    raise SystemExit('it could write ' + place)
assert os.read(0, 1) == b''
import ctypes
assert ctypes.CDLL(None).unshare(0x10000000) == -1
`;
      const report = await runSandbox({ 'model.pkl': executingPickle(source) }, { kind });
      assert.deepEqual([report.steps.map(({ outcome }) => outcome), report.reasons], [['loaded'], []]);
    },
  );
}

/** 32-bit calls of a 64-bit process: `int 0x80` with the number of `open` there. */
const int80 = `
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40)
at = ctypes.addressof(ctypes.c_char.from_buffer(page))
page[256:268] = b'/etc/shadow\\0'
code = b'\\x53\\xb8\\x05\\0\\0\\0\\xbb' + (at + 256).to_bytes(4, 'little') + b'\\x31\\xc9\\xcd\\x80\\x5b\\xc3'
page[0:len(code)] = code
assert ctypes.CFUNCTYPE(ctypes.c_int)(at)() < 0`;

test(
  'calls by the other door of the kernel are recorded, too',
  {
    skip: missingSandbox() || (process.arch === 'x64' ? false : 'only x86-64 has it'),
  },
  async () => {
    const report = await runSandbox({ 'model.pkl': executingPickle(int80) });
    assert.deepEqual(actsOf(report), ['tried to open `/etc/shadow`'], JSON.stringify(report));
    assert.equal(report.steps[0]?.outcome, 'loaded', JSON.stringify(report.steps));
  },
);

test(
  'when whoever started it is killed, everything inside ends with it',
  {
    skip: missingSandbox(),
  },
  async () => {
    const path = join(secrets, 'model.pkl');
    writeFileSync(path, executingPickle('import os, time\nos.fork()\ntime.sleep(1e6)'));
    const main = join(root, 'src', 'app', 'main.ts');
    const child = spawn(process.execPath, [main, 'sandbox', '--python', systemPython, path], {
      stdio: 'ignore',
      // Whoever is killed leaves a directory behind.
      env: { ...process.env, TMPDIR: secrets },
    });
    const until = async (count: number): Promise<void> => {
      for (let tries = 0; leftovers().length !== count; tries++) {
        assert.ok(tries < 600, `${leftovers().length} processes, not ${count}`);
        await sleep(50);
      }
    };
    await until(2);
    child.kill('SIGKILL');
    await until(0);
  },
);

function commandLine(prefix: readonly string[], path: string) {
  const all: readonly string[] = [
    ...prefix,
    process.execPath,
    join(root, 'src', 'app', 'main.ts'),
    'sandbox',
    '--output',
    'json',
    '--python',
    systemPython,
    path,
  ];
  const [program = '', ...words] = all;
  return spawnSync(program, words, { encoding: 'utf8', timeout: 120_000 });
}

test('the command line, as a user who is not root: exit 2 and the act', { skip: missingSandbox() }, () => {
  const path = join(secrets, 'model.pkl');
  writeFileSync(path, executingPickle('import os; os.system("id")'));
  const asNobody = ['unshare', '--user', '--map-user=1234', '--map-group=1234', '--'];
  const said = commandLine(asNobody, path);
  assert.equal(said.status, 2, said.stderr);
  assert.match(said.stdout, /started `\/bin\/sh -c id`/);
  assert.doesNotMatch(said.stdout, new RegExp(secrets), 'the answer names a path of this machine');
});

test(
  'where the kernel forbids namespaces nothing runs: a Fault with the way out',
  {
    skip: missingSandbox(),
  },
  () => {
    const path = join(secrets, 'model.pkl');
    writeFileSync(path, executingPickle('raise SystemExit'));
    const script = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"';
    const said = commandLine(['unshare', '--user', '--map-root-user', '--', 'sh', '-c', script, '--'], path);
    assert.equal(said.status, 1, said.stdout);
    assert.match(said.stderr, /sandbox\.unavailable/);
    assert.match(said.stderr, /hint: .*user\.max_user_namespaces/);
  },
);
