import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { find } from '../support/foreign.ts';

const screens = join(import.meta.dirname, '..', '..', '.cache', 'screens');

/** The Chromium of this machine, if there is one. */
export const chromiumPath = find('chromium') ?? find('chromium-browser') ?? find('google-chrome');

/** Starts it without anything that talks to the outside. */
export function openBrowser(): Promise<Browser> {
  if (chromiumPath === undefined) throw new Error('there is no Chromium on this machine');
  return chromium.launch({
    executablePath: chromiumPath,
    args: [
      '--no-sandbox',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-default-apps',
      '--disable-sync',
      '--no-first-run',
      '--disable-dev-shm-usage',
      '--disable-gpu',
    ],
  });
}

export interface Visit {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Errors, refused content and requests that left the origin; must stay empty. */
  readonly trouble: string[];
}

export interface VisitOptions {
  readonly origin: string;
  readonly token: string;
  readonly width: number;
  readonly dark: boolean;
  readonly path: string;
  readonly signIn: boolean;
}

/** A browser context of its own on the console, signed in unless told otherwise. */
export async function openVisit(
  browser: Browser,
  options: Partial<VisitOptions> & Pick<VisitOptions, 'origin' | 'token'>,
): Promise<Visit> {
  const { origin, token } = options;
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1440, height: 900 },
    colorScheme: options.dark === true ? 'dark' : 'light',
    locale: 'en-GB',
    reducedMotion: 'reduce',
  });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const trouble: string[] = [];
  page.on('pageerror', (error) => trouble.push(error.message));
  page.on('dialog', (dialog) => {
    trouble.push(`a script opened a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('console', (message) => {
    const expected = /status of (?:400|401|404|501|503)/.test(message.text());
    if (message.type() === 'error' && !expected) trouble.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(origin)) trouble.push(`left the origin: ${request.url()}`);
  });
  await page.goto(`${origin}${options.path ?? '/console/'}`);
  if (options.signIn !== false) {
    await page.getByLabel('Administrator token').fill(token);
    await page.keyboard.press('Enter');
    await page.getByRole('banner').waitFor();
  }
  return { page, context, trouble };
}

/** Ends the visit; fails where anything went wrong during it. */
export async function leave({ context, trouble }: Visit): Promise<void> {
  assert.deepEqual(trouble, []);
  await context.close();
}

/** Keeps a picture in .cache/screens for people to look at. */
export async function keepScreen(page: Page, name: string): Promise<void> {
  const modal = (await page.getByRole('dialog').count()) > 0;
  mkdirSync(screens, { recursive: true });
  await page.screenshot({ path: join(screens, `${name}.png`), fullPage: !modal });
}

/** Text whose contrast with what lies behind it is below WCAG 2.2 AA (4.5, or 3 for large text), as `ratio text` lines. */
export function weakContrasts(page: Page): Promise<readonly string[]> {
  return page.evaluate(() => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    if (canvas === null) throw new Error('no canvas');
    const parse = (color: string): readonly [number, number, number, number] => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      const [r = 0, g = 0, b = 0, a = 0] = canvas.getImageData(0, 0, 1, 1).data;
      return [r, g, b, a];
    };
    const luminance = ([r, g, b]: readonly [number, number, number, number]): number => {
      const [x = 0, y = 0, z = 0] = [r, g, b].map((channel) => {
        const part = channel / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = (start: Element): readonly [number, number, number, number] => {
      for (let element: Element | null = start; element !== null; element = element.parentElement) {
        const color = parse(getComputedStyle(element).backgroundColor);
        if (color[3] === 255) return color;
      }
      return [255, 255, 255, 255];
    };
    const found: string[] = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const text = walker.currentNode.textContent?.trim() ?? '';
      const element = walker.currentNode.parentElement;
      if (text === '' || element === null || !element.checkVisibility()) continue;
      const style = getComputedStyle(element);
      const [a, b] = [luminance(parse(style.color)), luminance(behind(element))];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      const large = Number.parseFloat(style.fontSize) >= 24;
      if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${text.slice(0, 40)}`);
    }
    return found;
  });
}

/** Elements that stick out of the window to the right, and controls that no name describes. */
export function layoutFaults(page: Page): Promise<readonly string[]> {
  return page.evaluate(() => {
    const found: string[] = [];
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth > width)
      found.push(`page is ${document.documentElement.scrollWidth} wide`);
    for (const element of document.querySelectorAll('main *, header *, dialog *')) {
      if (!element.checkVisibility() || element.closest('.hidden, .skip') !== null) continue;
      const box = element.getBoundingClientRect();
      if (box.width > 0 && box.right > width + 1)
        found.push(`${element.tagName}.${element.className} ends at ${box.right}`);
    }
    for (const control of document.querySelectorAll('button, a, input, textarea')) {
      const labels =
        control instanceof HTMLInputElement || control instanceof HTMLTextAreaElement ? control.labels : null;
      const name = control.getAttribute('aria-label') ?? control.textContent ?? '';
      if (name.trim() === '' && (labels === null || labels.length === 0))
        found.push(`no name: ${control.outerHTML.slice(0, 80)}`);
    }
    if (document.querySelectorAll('h1').length !== 1) found.push('not exactly one h1');
    return found;
  });
}
