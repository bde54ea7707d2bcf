import { hexOf } from '#artifact/digest.ts';
import { predicateTypes, type SandboxPredicate } from '#evidence/predicates.ts';
import { statementType, type Statement } from '#evidence/statement.ts';
import { Fault } from '#lib/fault.ts';
import { compareCodePoints } from '#lib/path-name.ts';
import type { ProducedFile, Producer, ProducerInput } from '../producer.ts';
import { exercise, sandboxIdentity, type Exercise, type ExercisedFile } from './exercise.ts';
import type { SandboxRunner } from './runner-port.ts';

/** What a server needs for it. The runner is opened when it is first needed: its Fault concerns nobody before. */
export interface SandboxSettings extends Omit<Exercise, 'runner' | 'signal'> {
  readonly openRunner: () => Promise<SandboxRunner>;
}

/**
 * One statement about the artifact: what it did when it was loaded and called. Runs on request, never by itself at an
 * intake. All files have to be here, each as a local file: Faults `blob.missing`, `sandbox.unavailable`.
 */
export function createSandboxProducer({ openRunner, ...settings }: SandboxSettings): Producer {
  let runner: Promise<SandboxRunner> | undefined;
  return {
    identity: sandboxIdentity,
    predicateType: predicateTypes.sandbox,
    async produce(input) {
      // A Fault is not remembered: the operator may allow what was forbidden while the server runs.
      runner ??= openRunner().catch((error: unknown) => {
        runner = undefined;
        throw error;
      });
      await using held = new AsyncDisposableStack();
      const files = await Promise.all(input.files.map((file) => openFile(input, file, held)));
      files.sort((a, b) => compareCodePoints(a.path, b.path));
      const exercised = await exercise(files, { ...settings, runner: await runner, signal: input.signal });
      const statement: Statement<SandboxPredicate> = {
        _type: statementType,
        subject: [{ digest: { sha256: hexOf(input.artifact) } }],
        predicateType: predicateTypes.sandbox,
        predicate: { producer: sandboxIdentity, exercisedAt: input.at, ...exercised },
      };
      return [statement];
    },
  };
}

/** Keeps the blob open while the sandbox runs, so that it is neither replaced nor collected under it. */
async function openFile(
  input: ProducerInput,
  file: ProducedFile,
  held: AsyncDisposableStack,
): Promise<ExercisedFile> {
  const source = file.present ? await input.open(file.digest) : undefined;
  if (source === undefined)
    throw new Fault('blob.missing', `\`${file.path}\` is not here`, {
      hint: 'the whole artifact has to be here before it can be loaded',
    });
  held.use(source);
  if (source.localPath === undefined)
    throw new Fault('sandbox.unavailable', 'the blob store of this server has no local files');
  return {
    path: file.path,
    sizeBytes: file.sizeBytes,
    sha256: hexOf(file.digest),
    localPath: source.localPath,
    read: (lengthBytes) => source.read(0, lengthBytes),
  };
}
