/**
 * Ends this process with SIGTERM to itself (the orderly stop) when the launcher that started it has died, at most half
 * a second later. The launcher (bin/launch.js) names itself in `WEIGHBRIDGE_PARENT_PID` only where it could not replace
 * itself by this process; without that variable nothing happens, so a server put in the background stays.
 */
export function exitWithParent(): void {
  const launcher = Number(process.env['WEIGHBRIDGE_PARENT_PID']);
  // What this process starts has another parent; it must not inherit the rule.
  delete process.env['WEIGHBRIDGE_PARENT_PID'];
  if (!Number.isInteger(launcher) || launcher <= 1) return;
  const timer = setInterval(() => {
    if (process.ppid === launcher) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, 500);
  timer.unref();
}
