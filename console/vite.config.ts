import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/** Built into console/dist, served at /console/ under a policy that allows no inline script, style or data address. */
export default defineConfig({
  root: import.meta.dirname,
  base: '/console/',
  plugins: [react()],
  build: { target: 'es2023', assetsInlineLimit: 0, modulePreload: { polyfill: false }, emptyOutDir: true },
});
