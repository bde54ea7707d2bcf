'use strict';
// Runs on any Node >= 20: finds what the lock pins, installs it in a checkout where it is missing, and hands over.
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.dirname(__dirname);
const signals = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'];

/** Ends the process with a message for people, never a stack: exit 1 = could not run. */
function refuse(message, hint) {
  process.stderr.write(`weighbridge: ${message}\nhint: ${hint}\n`);
  process.exit(1);
}

/** Is this a checkout (source is here) rather than the published package? */
function isCheckout() {
  return fs.existsSync(path.join(root, 'src', 'app'));
}

function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Does node_modules hold every package of the lock at its locked version? Packages of other platforms may be absent. */
function isInstalled(options) {
  const wanted = readJson(path.join(root, 'package-lock.json'));
  const present = readJson(path.join(root, 'node_modules', '.package-lock.json'));
  if (wanted === undefined || present === undefined) return false;
  return Object.entries(wanted.packages).every(([name, entry]) => {
    if (name === '' || entry.optional || entry.devOptional) return true;
    if (entry.dev && !options.development) return true;
    return present.packages[name]?.version === entry.version && fs.existsSync(path.join(root, name));
  });
}

/** In a checkout, makes node_modules equal to the lock. Speaks on stderr, so that output stays parseable. */
function installMissing(options) {
  if (!isCheckout()) return;
  const pinned = pinnedPackage();
  if (isInstalled(options) && findPinned(pinned) !== undefined) return;
  process.stderr.write('weighbridge: installing dependencies with npm ci --ignore-scripts (once)\n');
  const npm = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    env: { ...process.env, NODE_ENV: '', npm_config_omit: '' },
  });
  if (npm.error?.code === 'ENOENT') {
    refuse(
      'npm was not found, and dependencies are missing',
      'install npm, or run npm ci --ignore-scripts elsewhere and copy node_modules here',
    );
  }
  if (npm.status !== 0) {
    refuse(
      'npm ci could not install the dependencies',
      'read the npm message above; usual causes are no network, a registry behind a proxy (npm config set registry) or a full disk',
    );
  }
}

function pinnedPackage() {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    refuse(
      `this platform (${process.platform} ${process.arch}) is not supported`,
      'run on linux x64 or arm64, for example in a container',
    );
  }
  if (process.report?.getReport().header.glibcVersionRuntime === undefined) {
    refuse('this linux has no glibc', 'run on a distribution with glibc >= 2.28, for example Debian');
  }
  return `node-linux-${process.arch}`;
}

/** The pinned Node's executable: beside this package, or hoisted above it. */
function findPinned(name) {
  for (let folder = root; ; folder = path.dirname(folder)) {
    const candidate = path.join(folder, 'node_modules', name, 'bin', 'node');
    try {
      fs.accessSync(candidate, fs.constants.X_OK);
      return candidate;
    } catch {
      if (folder === path.dirname(folder)) return undefined;
    }
  }
}

/** Path of the pinned Node. Refuses with a hint where it is not installed. */
function pinnedNode() {
  const name = pinnedPackage();
  const found = findPinned(name);
  if (found === undefined) {
    refuse(
      `the pinned Node (package ${name}) is not installed`,
      'install again without --omit=optional and with the same architecture that runs it',
    );
  }
  return found;
}

/** A private folder for compiled code, or undefined: a folder that others can write would let them choose our code. */
function compileCache() {
  if (isCheckout()) return path.join(root, '.cache', 'compile');
  const home = process.env.XDG_CACHE_HOME || (process.env.HOME && path.join(process.env.HOME, '.cache'));
  return home ? path.join(home, 'weighbridge', 'compile') : undefined;
}

function environment() {
  const cache = process.env.NODE_COMPILE_CACHE || compileCache();
  return cache === undefined ? { ...process.env } : { ...process.env, NODE_COMPILE_CACHE: cache };
}

/**
 * Becomes `executable`: the same process where this Node has execve, else a child that gets our signals and whose end
 * is ours. The child learns our pid, and ends when it is no longer its parent's (src/app/parent.ts).
 */
function become(executable, args) {
  const env = environment();
  if (typeof process.execve === 'function') {
    // Says that execve is experimental; the person who typed a command has no use for that.
    process.removeAllListeners('warning');
    process.execve(executable, [executable, ...args], env);
  }
  const child = spawn(executable, args, {
    stdio: 'inherit',
    env: { ...env, WEIGHBRIDGE_PARENT_PID: String(process.pid) },
  });
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  child.on('error', (error) =>
    refuse(`the pinned Node did not start: ${error.message}`, 'install the dependencies again'),
  );
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    for (const name of signals) process.removeAllListeners(name);
    process.kill(process.pid, signal);
    setTimeout(() => process.exit(1), 1000);
  });
}

/** Time of the newest file in a folder, in ms; 0 for none. */
function newest(folder) {
  if (!fs.existsSync(folder)) return 0;
  const files = fs
    .readdirSync(folder, { recursive: true })
    .map((name) => fs.statSync(path.join(folder, name)));
  return Math.max(0, ...files.filter((stat) => stat.isFile()).map((stat) => stat.mtimeMs));
}

/** In a checkout, builds the console where it is missing or older than its source. The server runs without it too. */
function buildConsole() {
  const built = newest(path.join(root, 'console', 'dist'));
  if (built > newest(path.join(root, 'console', 'src'))) return;
  const vite = path.join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  if (!fs.existsSync(vite)) return;
  process.stderr.write('weighbridge: building the console (once)\n');
  const result = spawnSync(pinnedNode(), [vite, 'build', 'console', '--logLevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (result.status !== 0)
    process.stderr.write('weighbridge: the console was not built; going on without it\n');
}

/** Runs the command line: src/app/main.ts in a checkout, dist/app/main.js where installed. */
function launch(args) {
  installMissing({ development: false });
  if (isCheckout() && args[0] === 'serve') buildConsole();
  const main = isCheckout()
    ? path.join(root, 'src', 'app', 'main.ts')
    : path.join(root, 'dist', 'app', 'main.js');
  if (!fs.existsSync(main)) refuse(`${main} is missing`, 'install weighbridge again');
  // New objects get 8 MB instead of 16 before they are looked through: a server that rests has 45 MB less.
  become(pinnedNode(), ['--max-semi-space-size=8', main, ...args]);
}

module.exports = { become, buildConsole, installMissing, launch, pinnedNode };
