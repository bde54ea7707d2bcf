import type { Finding } from '#evidence/predicates.ts';
import { finding } from './finding.ts';
import type { CodeReference } from './judge-config.ts';

const codeName = /\.(py|pyw|ipynb|sh|bash|ps1|bat|cmd)$/i;

/**
 * Program code in the artifact: with a configuration that refers to it, it runs when the model is loaded (with the
 * user's consent at best); without one it is only there.
 */
export function judgeCode(
  files: readonly { readonly path: string }[],
  references: readonly CodeReference[],
): readonly Finding[] {
  return files
    .filter(({ path }) => codeName.test(path))
    .map(({ path }) => {
      if (/^(?:.*\/)?custom_generate\/generate\.py$/i.test(path)) {
        return finding('CODE-REFERENCED', 'transformers runs this code because it is there', { path });
      }
      const reference = references.find(({ module }) => refersTo(module, path));
      return reference === undefined
        ? finding('CODE-FILE', 'program code that no configuration refers to', { path })
        : finding('CODE-REFERENCED', `\`${reference.from}\` refers to this code`, { path });
    });
}

/** `modeling_x` or `sub.modeling_x` and the file that Python would import for it, in any folder of the artifact. */
function refersTo(module: string, path: string): boolean {
  const asPath = `${module.replaceAll('.', '/')}.py`;
  const asPackage = `${module.replaceAll('.', '/')}/__init__.py`;
  return [asPath, asPackage].some((name) => path === name || path.endsWith(`/${name}`));
}
