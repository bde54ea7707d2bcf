/**
 * The roles as a superuser makes them once per cluster (docs/reference/database.md shows the same). `weighbridge_app`
 * may take the log role only by SET ROLE: NOINHERIT keeps that role's view of every namespace out of ordinary queries.
 */
export const roleStatements: readonly string[] = [
  role('weighbridge_owner', 'LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE'),
  role('weighbridge_log', 'NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE'),
  role('weighbridge_app', 'LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS NOCREATEROLE'),
  'GRANT weighbridge_log TO weighbridge_app',
];

function role(name: string, attributes: string): string {
  return `DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${name}') THEN CREATE ROLE ${name} ${attributes}; END IF;
  END $$`;
}
