import type { MouseEvent, ReactElement, ReactNode } from 'react';
import { encodeRoute, go, type Route } from '../route.ts';

interface LinkProps {
  readonly to: Route;
  readonly className?: string;
  /** Is this where the reader is? */
  readonly current?: boolean;
  readonly children: ReactNode;
}

/** A link within the console; a modified click does what the browser does with it. */
export function Link({ to, className, current, children }: LinkProps): ReactElement {
  const follow = (event: MouseEvent): void => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(to);
  };
  return (
    <a
      href={encodeRoute(to)}
      className={className}
      aria-current={current === true ? 'page' : undefined}
      onClick={follow}
    >
      {children}
    </a>
  );
}
