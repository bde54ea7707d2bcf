import { digestOf, hexOf } from '#artifact/digest.ts';
import type { SandboxStep } from '#evidence/predicates.ts';
import { encodeJcs } from '#lib/jcs.ts';
import { isJsonObject, parseJson, type JsonValue } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';
import { compareCodePoints } from '#lib/path-name.ts';
import { printable } from '#lib/printable.ts';
import { withoutRoots } from './judge-events.ts';
import type { LoadStep } from './plan.ts';

export interface LoaderAnswer {
  readonly libraries: readonly { readonly name: string; readonly version: string }[];
  readonly steps: readonly SandboxStep[];
}

const stepOutcomes = ['loaded', 'failed', 'unavailable'] as const;
const mostText = 300;

/**
 * What the loader wrote: exactly one line of JSON, with one report per step of the plan. Undefined for everything else: then
 * the process said nothing, or something else spoke for it.
 */
export function parseLoaderAnswer(
  output: Uint8Array,
  plan: readonly LoadStep[],
  roots: readonly string[],
): LoaderAnswer | undefined {
  const text = Buffer.from(output).toString('utf8');
  if (!text.endsWith('\n') || text.indexOf('\n') !== text.length - 1) return undefined;
  let parsed: JsonValue;
  try {
    parsed = parseJson(text);
  } catch {
    return undefined;
  }
  if (!isJsonObject(parsed)) return undefined;
  const { libraries, steps } = parsed;
  if (!isJsonObject(libraries) || !Array.isArray(steps) || steps.length !== plan.length) return undefined;
  const clean = (value: string): string => printable(withoutRoots(value, roots), mostText);
  const reports = steps.map((step, index) => parseStep(step, plan[index], clean));
  const complete = reports.filter((report) => report !== undefined);
  if (complete.length !== plan.length) return undefined;
  return {
    libraries: Object.entries(libraries)
      .map(([name, version]) => ({
        name: clean(name),
        version: clean(typeof version === 'string' ? version : 'unknown'),
      }))
      .slice(0, limits.sandboxSteps)
      .sort((a, b) => compareCodePoints(a.name, b.name)),
    steps: complete,
  };
}

function parseStep(
  value: JsonValue,
  step: LoadStep | undefined,
  clean: (text: string) => string,
): SandboxStep | undefined {
  if (!isJsonObject(value) || step === undefined) return undefined;
  const { outcome, detail, exercised, outputs } = value;
  const known = stepOutcomes.find((one) => one === outcome);
  if (known === undefined || typeof exercised !== 'boolean' || !Array.isArray(outputs)) return undefined;
  if (detail !== null && typeof detail !== 'string') return undefined;
  const parsed = outputs.slice(0, limits.sandboxOutputs).map((output) => parseOutput(output, clean));
  const complete = parsed.filter((output) => output !== undefined);
  if (complete.length !== parsed.length) return undefined;
  return {
    loader: step.loader,
    path: step.path,
    outcome: known,
    detail: detail === null ? null : clean(detail),
    exercised,
    baseline: complete.length === 0 ? null : hexOf(digestOf(encodeJcs(complete))),
    outputs: complete.slice(0, limits.sandboxListedOutputs),
  };
}

function parseOutput(
  value: JsonValue,
  clean: (text: string) => string,
): SandboxStep['outputs'][number] | undefined {
  if (!isJsonObject(value)) return undefined;
  const { name, shape, dtype, sha256 } = value;
  if (typeof name !== 'string' || typeof dtype !== 'string' || typeof sha256 !== 'string') return undefined;
  if (!/^[0-9a-f]{64}$/.test(sha256) || !Array.isArray(shape)) return undefined;
  const sizes = shape.filter((size) => typeof size === 'number' && Number.isSafeInteger(size) && size >= 0);
  if (sizes.length !== shape.length || sizes.length > limits.tensorDimensions) return undefined;
  return { name: clean(name), shape: sizes.map(Number), dtype: clean(dtype), sha256 };
}
