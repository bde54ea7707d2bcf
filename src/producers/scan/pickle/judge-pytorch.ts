import type { PyTorchReading, TorchProblem } from '#artifact/formats/pytorch/reading.ts';
import type { Finding, Severity } from '#evidence/predicates.ts';
import type { ZipAnomaly, ZipAnomalyKind } from '#lib/zip.ts';
import { judgePickle } from './judge.ts';

interface ContainerRule {
  readonly severity: Severity;
  readonly why: string;
  readonly remedy: string;
}

const again = 'save the file again with an unmodified writer';
const distrust = `do not load the file; ${again}`;

const hides = (why: string): ContainerRule => ({ severity: 'critical', why, remedy: distrust });
const doubtful = (why: string): ContainerRule => ({ severity: 'high', why, remedy: again });

/** Rules about zip archives, one per kind of anomaly. */
export const zipRules = {
  'bad-checksum': doubtful('the bytes are not those that were written'),
  'bad-size': doubtful('the bytes are not those that were written'),
  bomb: hides('the member inflates beyond any honest content'),
  'broken-directory': hides('readers that repair the directory see other members than readers that do not'),
  'broken-header': hides('readers that use the other header see another member'),
  'duplicate-name': hides('some readers take the first member of a name and others the last'),
  encrypted: doubtful('the contents cannot be read'),
  gap: doubtful('bytes that belong to no member can hide content'),
  'hidden-member': hides('a member that the directory does not list is seen by readers that stream'),
  link: hides('a link can lead outside the folder that it is unpacked to'),
  mismatch: hides('readers of the local header and readers of the directory see different bytes'),
  'name-mismatch': hides('readers of the local header and readers of the directory see different names'),
  overlap: hides('two members that share bytes make an expansion bomb or hide one another'),
  prefix: doubtful('the file is also something else to readers that begin at its first byte'),
  'several-directories': hides('readers that search the end record differently see different archives'),
  trailing: doubtful('bytes after the archive can hide content'),
  'unknown-method': doubtful('the contents cannot be read'),
  'unsafe-name': hides('unpacking would write outside the folder'),
} as const satisfies Record<ZipAnomalyKind, ContainerRule>;

/** Rules about torch files, one per kind of problem. */
export const torchRules = {
  'member-unexpected': doubtful('torch.save does not write it and torch.load does not read it'),
  'member-unreadable': doubtful('the contents cannot be read'),
  'several-objects': hides(
    'readers that take the first and readers that take the last load different objects',
  ),
  'storage-id': doubtful('what torch.load makes of it is not known'),
  'storage-missing': doubtful('the file is not whole'),
  'storage-size': hides('a tensor over a storage of another size reads or writes memory that is not its own'),
  trailing: doubtful('bytes after the last storage can hide content'),
} as const satisfies Record<TorchProblem['kind'], ContainerRule>;

/** `ZIP-DUPLICATE-NAME`, `PT-STORAGE-SIZE`. */
export function containerRuleId(family: 'ZIP' | 'PT', kind: string): string {
  return `${family}-${kind.toUpperCase()}`;
}

/** An anomaly of an archive as a finding. */
export function judgeAnomaly({ kind, member, offset, message }: ZipAnomaly): Finding {
  const { severity, remedy } = zipRules[kind];
  const location = { ...(member === undefined || member === '' ? {} : { member }), offset };
  return { ruleId: containerRuleId('ZIP', kind), severity, message, location, remedy };
}

function judgeProblem({ kind, member, offset, message }: TorchProblem): Finding {
  const { severity, remedy } = torchRules[kind];
  const location = {
    ...(member === undefined ? {} : { member }),
    ...(offset === undefined ? {} : { offset }),
  };
  return { ruleId: containerRuleId('PT', kind), severity, message, location, remedy };
}

/** What is wrong with a torch file: its pickles, its archive, its storages. None and nothing incomplete mean clean. */
export function judgePyTorch(reading: PyTorchReading): readonly Finding[] {
  const ownTrailing = reading.form === 'legacy' ? ({ trailingKnown: true } as const) : {};
  return [
    ...reading.pickles.flatMap(({ member, reading: pickle }) =>
      judgePickle(pickle, {
        persistentIdsKnown: true,
        ...ownTrailing,
        ...(member === undefined ? {} : { member }),
      }),
    ),
    ...reading.anomalies.map(judgeAnomaly),
    ...reading.problems.map(judgeProblem),
  ];
}
