-- Prints one line per table (name, rows, two sums) and one per sequence. Equal lists mean equal data.
--
-- A row's text is hashed and the hashes are added, so that the order of the rows, and with it the collation of either
-- server, does not matter, while a row that is there twice counts twice. What could make equal rows look different is set.
\set ON_ERROR_STOP on
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL search_path = '';
SET LOCAL datestyle = 'ISO, YMD';
SET LOCAL intervalstyle = 'postgres';
SET LOCAL timezone = 'UTC';
SET LOCAL extra_float_digits = 3;
SET LOCAL bytea_output = 'hex';
SET LOCAL xmloption = 'content';
SET LOCAL lc_monetary = 'C';
SET LOCAL row_security = off;
SELECT pg_catalog.format(
           $f$SELECT 'table', %L, count(*), coalesce(sum(('x' || substr(h, 1, 16))::bit(64)::bigint::numeric), 0),
                     coalesce(sum(('x' || substr(h, 17, 16))::bit(64)::bigint::numeric), 0)
              FROM (SELECT md5(t::text) AS h FROM ONLY %I.%I AS t) AS hashed$f$,
           pg_catalog.format('%I.%I', n.nspname, c.relname), n.nspname, c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
\gexec
SELECT pg_catalog.format(
           $f$SELECT 'sequence', %L, last_value, is_called FROM %I.%I$f$,
           pg_catalog.format('%I.%I', n.nspname, c.relname), n.nspname, c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.relpersistence <> 't'
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
\gexec
SELECT pg_catalog.format(
           $f$SELECT 'materialized view', %L, count(*) FROM %I.%I$f$,
           pg_catalog.format('%I.%I', n.nspname, c.relname), n.nspname, c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' AND c.relispopulated
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
\gexec
SELECT 'large objects', count(*) FROM pg_catalog.pg_largeobject_metadata;
-- What stands around the data, counted: a missing index or trigger does not show in the rows.
SELECT kind, count(*)
FROM (SELECT CASE c.relkind WHEN 'i' THEN 'indexes' WHEN 'v' THEN 'views' END AS kind, c.relnamespace AS namespace,
             'pg_catalog.pg_class'::pg_catalog.regclass AS catalog, c.oid AS id
      FROM pg_catalog.pg_class c WHERE c.relkind IN ('i', 'v') AND c.relpersistence <> 't'
      UNION ALL
      SELECT 'constraints', connamespace, 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid
      FROM pg_catalog.pg_constraint WHERE contype IN ('c', 'f', 'p', 'u', 'x')
      UNION ALL
      SELECT 'functions', pronamespace, 'pg_catalog.pg_proc'::pg_catalog.regclass, oid FROM pg_catalog.pg_proc
      UNION ALL
      SELECT 'triggers', c.relnamespace, 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid
      FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal) AS things
JOIN pg_catalog.pg_namespace n ON n.oid = namespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e WHERE e.classid = catalog AND e.objid = id AND e.deptype = 'e')
GROUP BY kind ORDER BY kind;
COMMIT;
