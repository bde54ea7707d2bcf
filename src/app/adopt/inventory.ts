import { existsSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { Fault } from '#lib/fault.ts';
import { printable } from '#lib/printable.ts';
import { folderRole, hasModelExtension, isLeftOut, notFollowed, surveyFolder } from './folder.ts';
import { joined } from './found.ts';
import type { Inventory } from './found.ts';
import { isRepositoryCache, isRepositoryName, surveyRepository } from './hub-cache.ts';
import { isOllamaStore, surveyOllama } from './ollama.ts';
import { OpenFolder, realPathOf } from './open-folder.ts';
import { Survey } from './survey.ts';
import type { Place, SurveyWatch } from './survey.ts';

/**
 * Every model below the given directories, by what lies there: hub caches (also `HF_HOME` above them), folders of a hub
 * client, Ollama stores, and plain folders with model files. Nothing is hashed yet and nothing is changed. Fault
 * `file.unreadable` for a directory that cannot be opened, `command.usage` for one inside another.
 */
export async function takeInventory(paths: readonly string[], watch: SurveyWatch = {}): Promise<Inventory> {
  const roots = [...new Set(paths.map(realPathOf))];
  for (const root of roots) {
    const outer = roots.find((other) => other !== root && `${root}/`.startsWith(`${other}/`));
    if (outer !== undefined) throw new Fault('command.usage', `\`${root}\` lies inside \`${outer}\``);
  }
  const count = { entries: 0 };
  const surveys: Survey[] = [];
  for (const root of roots) {
    const survey = new Survey(root, watch, count);
    using folder = OpenFolder.at(root);
    const place = await survey.list(folder, '', survey.notices);
    if (isRepositoryName(basename(root)) && isRepositoryCache(place)) {
      await surveyRepository(survey, place, basename(root));
    } else await examine(survey, place);
    surveys.push(survey);
  }
  return {
    roots,
    models: surveys.flatMap(({ models }) => models),
    notices: surveys.flatMap(({ notices, root }) => notices.map((notice) => ({ ...notice, root }))),
    partialBytes: surveys.reduce((sum, { partialBytes }) => sum + partialBytes, 0),
    unreferencedBytes: surveys.reduce((sum, { unreferencedBytes }) => sum + unreferencedBytes, 0),
    incompleteReasons: [...new Set(surveys.flatMap(({ incompleteReasons }) => [...incompleteReasons]))],
  };
}

/** A folder that may be anything: a store is taken as a store, a model as a model, the rest is searched. */
async function examine(survey: Survey, place: Place): Promise<void> {
  if (await takeStore(survey, place)) return;
  const role = folderRole(place);
  if (role !== 'neither') await surveyFolder(survey, place, role, (inside) => takeStore(survey, inside));
  if (role === 'model') return;
  for (const { name, kind } of place.entries) {
    if (kind === 'link' && role === 'neither' && mayLeadToModels(name)) {
      survey.notices.push(notFollowed(joined(place.path, name), kind));
    }
    if (kind !== 'folder' || (isLeftOut(name) && name !== '.cache')) continue;
    await survey.within(place, name, survey.notices, (inside) => examine(survey, inside));
  }
}

/** A home is full of links that concern nobody; these would hide a whole store. */
function mayLeadToModels(name: string): boolean {
  return (
    isRepositoryName(name) ||
    hasModelExtension(name) ||
    /^(?:hub|huggingface|ollama|\.ollama|models?|checkpoints)$/.test(name)
  );
}

/** Takes a hub cache or an Ollama store; false where the folder is neither. Other folders in a cache are searched too. */
async function takeStore(survey: Survey, place: Place): Promise<boolean> {
  if (isOllamaStore(place)) {
    await surveyOllama(survey, place);
    return true;
  }
  const repositories = place.entries.filter(({ name, kind }) => kind === 'folder' && isRepositoryName(name));
  if (repositories.length === 0) return false;
  for (const { name, kind } of place.entries) {
    if (kind !== 'folder' || isLeftOut(name)) continue;
    await survey.within(place, name, survey.notices, (inside) =>
      isRepositoryName(name) && isRepositoryCache(inside)
        ? surveyRepository(survey, inside, name)
        : examine(survey, inside),
    );
  }
  return true;
}

/**
 * Refuses a file to be written that would lie below what is only read: Fault `command.usage`. The file need not exist;
 * where its folder does not, the operating system will say so.
 */
export function refuseBelow(paths: readonly string[], file: string, option: string): void {
  const folder = existsSync(dirname(file)) ? realPathOf(dirname(file)) : dirname(file);
  const inside = paths.map(realPathOf).find((root) => `${folder}/`.startsWith(`${root}/`));
  if (inside === undefined) return;
  throw new Fault(
    'command.usage',
    `\`${printable(file)}\` lies inside \`${printable(inside)}\`, where nothing is written`,
    {
      hint: `name a file elsewhere with \`${option} FILE\``,
    },
  );
}
