import { serveTasks } from '#lib/worker-task.ts';
import { performScan, type ScanTask, type ScanTaskResult } from './scan-task.ts';

serveTasks<ScanTask, ScanTaskResult>(performScan);
