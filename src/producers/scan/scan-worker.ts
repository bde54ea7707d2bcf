import { serveTasks } from '#lib/worker-task.ts';
import { performScan, type ScanTask } from './scan-task.ts';

// The scanner that starts this worker sends nothing else.
serveTasks((task, sources) => performScan(task as ScanTask, sources));
