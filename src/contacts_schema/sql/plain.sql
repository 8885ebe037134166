-- name: refuse
-- Rendered without a look at the database: whatever it was not told of stops it here, before the first change.
DO $plain$
DECLARE
    "~label" CONSTANT text := pg_catalog.format('%%I.%%I', {schema}, {table});
    "~target" CONSTANT regclass := pg_catalog.to_regclass("~label");
    "~known" CONSTANT text[] := {known};
    "~render" CONSTANT text := 'render the script with DATABASE_URL set, so that it can look at the tables';
    "~names" text;
    "~rows" bigint;
BEGIN
    {before};
    IF "~target" IS NULL THEN
        RAISE EXCEPTION 'there is no table %%', "~label" USING HINT = 'set schema and table, or connect to another database';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid
                   WHERE c.oid = "~target" AND c.relkind = 'r' AND i.indisprimary AND i.indnkeyatts = 1
                     AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE c.oid IN (h.inhrelid, h.inhparent))) THEN
        RAISE EXCEPTION '%% is no plain table with a primary key of one column', "~label" USING HINT = "~render";
    END IF;
    SELECT pg_catalog.string_agg(u.name, ', ') INTO "~names" FROM pg_catalog.unnest({columns}::text[]) AS u(name)
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = "~target" AND a.attname = u.name AND NOT a.attisdropped);
    IF "~names" IS NOT NULL THEN
        RAISE EXCEPTION '%% has no column %%', "~label", "~names" USING HINT = 'set workspace_column and phone_column';
    END IF;
    SELECT pg_catalog.string_agg(t.tgname, ', ') INTO "~names" FROM pg_catalog.pg_trigger AS t
    WHERE t.tgrelid = "~target" AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype::int & 8 > 0;
    IF "~names" IS NOT NULL OR EXISTS (SELECT FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class = "~target") THEN
        RAISE EXCEPTION 'a trigger or a rule of %% is at work where rows are removed: %%', "~label", coalesce("~names", 'a rule') USING HINT = "~render";
    END IF;
    IF pg_catalog.to_regnamespace(pg_catalog.quote_ident({private_schema})) IS NOT NULL
       OR EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                  WHERE n.nspname = {schema} AND c.relname = {constraint}) THEN
        RAISE EXCEPTION 'an upgrade was begun or done here before: the schema %% or %% is there', {private_schema}, {constraint}
              USING HINT = 'end it, or take it back, with a connection';
    END IF;

    -- References: foreign keys, columns that look like some, and those that were declared.
    SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('%%s (%%s)', k.conrelid::regclass, k.conname), ', ') INTO "~names"
    FROM pg_catalog.pg_constraint AS k LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum]
    JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE k.contype = 'f' AND k.confrelid = "~target"
      AND (a.attname IS NULL OR pg_catalog.to_json(ARRAY[n.nspname, c.relname, a.attname]::text[])::text <> ALL ("~known")
           OR NOT EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = k.confrelid AND i.indisprimary AND i.indkey[0] = k.confkey[1]));
    IF "~names" IS NOT NULL THEN
        RAISE EXCEPTION '%% is referred to by what this script does not know: %%', "~label", "~names"
              USING HINT = 'declare it in references, or ' || "~render";
    END IF;
    SELECT pg_catalog.string_agg(pg_catalog.concat_ws('.', n.schema, n.name, n."column"), ', ') INTO "~names" FROM ({look_alikes}) AS n
    WHERE ({named} OR n.type_column IS NOT NULL) AND pg_catalog.cardinality(n.parents) = 0
      AND pg_catalog.to_json(ARRAY[n.schema, n.name, n."column"]::text[])::text <> ALL ("~known" || {ignored}::text[]);
    IF "~names" IS NOT NULL THEN
        RAISE EXCEPTION '%% may refer to %% without a foreign key', "~names", "~label" USING HINT = 'declare it in references, or set ignore_references';
    END IF;
    SELECT pg_catalog.string_agg((SELECT pg_catalog.string_agg(j.part, '.') FROM pg_catalog.json_array_elements_text(u.name::json) AS j(part)), ', ')
    INTO "~names" FROM pg_catalog.unnest("~known") AS u(name)
    WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
        WHERE pg_catalog.to_json(ARRAY[n.nspname, c.relname, a.attname]::text[])::text = u.name AND c.relkind = 'r' AND NOT a.attisdropped AND c.oid <> "~target"
          AND EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary)
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE c.oid IN (h.inhrelid, h.inhparent))
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)
                          AND (a.attnum = ANY (i.indkey) OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL))
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.contype = 'f' AND k.confrelid = c.oid AND a.attnum = ANY (k.confkey))
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.contype = 'f' AND k.conrelid = c.oid AND a.attnum = ANY (k.conkey)
                          AND (k.confrelid <> "~target" OR pg_catalog.cardinality(k.conkey) > 1))
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS g WHERE g.attrelid = c.oid AND g.attgenerated <> '')
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
                          AND t.tgtype::int & 16 > 0)
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid IN (c.oid, "~target") AND t.tgisinternal AND t.tgenabled = 'D')
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class = c.oid)
          AND a.atttypid = (SELECT k.atttypid FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_attribute AS k ON k.attrelid = i.indrelid AND k.attnum = i.indkey[0]
                            WHERE i.indrelid = "~target" AND i.indisprimary));
    IF "~names" IS NOT NULL THEN
        RAISE EXCEPTION 'more is to be known of %%: a unique key, a trigger, a rule, a generated column, another type or another reference goes with it, or it is not there', "~names"
              USING HINT = "~render";
    END IF;
    SELECT pg_catalog.string_agg(i.indexrelid::regclass::text, ', ') INTO "~names" FROM pg_catalog.pg_index AS i
    WHERE i.indrelid = "~target" AND i.indisunique AND i.indisready AND NOT i.indisvalid;
    IF "~names" IS NOT NULL THEN
        RAISE EXCEPTION 'a unique index is INVALID and enforced all the same, so that rows of before could not be brought back: %%', "~names"
              USING HINT = 'drop it, or REINDEX INDEX';
    END IF;
    SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('%%s (%%s)', k.conrelid::regclass, k.conname), ', ') INTO "~names"
    FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT k.convalidated AND coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::boolean, true)
      AND (c.oid = "~target" OR (k.contype <> 'f' AND EXISTS (SELECT FROM pg_catalog.unnest("~known") AS u(name)
           WHERE u.name::json ->> 0 = n.nspname AND u.name::json ->> 1 = c.relname)));
    IF "~names" IS NOT NULL THEN
        RAISE EXCEPTION 'rows may break a constraint that is NOT VALID, and could be neither changed nor brought back: %%', "~names"
              USING HINT = 'VALIDATE it, or ' || "~render";
    END IF;
    EXECUTE pg_catalog.format('SELECT count(*) FROM %%s WHERE pg_catalog.btrim(%%I::text, E'' \t\n\x0b\f\r'') = ''''', "~target", {phone}) INTO "~rows";
    IF "~rows" > 0 THEN
        RAISE EXCEPTION '%% rows of %% have a blank phone', "~rows", "~label" USING HINT = 'clean them by hand, or ' || "~render" || ' and blank_phones = null';
    END IF;
    {after};
END $plain$

-- name: lock
-- Lock: SHARE ROW EXCLUSIVE on the table and on those that refer to it. Nobody writes to them until the end.
DO $lock$
DECLARE
    "~name" text;
BEGIN
    {before};
    FOR "~name" IN
        SELECT DISTINCT t.oid::regclass::text FROM pg_catalog.pg_class AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
        WHERE pg_catalog.to_json(ARRAY[n.nspname, t.relname]::text[])::text = ANY ({tables}::text[]) ORDER BY 1
    LOOP
        EXECUTE pg_catalog.format('LOCK TABLE %%s IN SHARE ROW EXCLUSIVE MODE', "~name");
    END LOOP;
    {after};
END $lock$

-- name: merge
-- The merge: what is removed is archived whole, and where each reference led to is noted.
DO $merge$
DECLARE
    "~target" CONSTANT regclass := pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', {schema}, {table}));
    "~home" CONSTANT text := pg_catalog.quote_ident({private_schema});
    "~order" text := {survivor_order};
    "~key" record;
    "~child" record;
    "~name" text;
    "~relation" bigint;
    "~relations" bigint[] := '{{}}';
    "~journals" text[] := '{{}}';
    "~run" bigint;
    "~batch" bigint;
    "~op" bigint;
    "~rows" bigint;
    "~gone" bigint;
BEGIN
    {before};
    {after};
    SELECT a.attnum AS number, a.attname AS name INTO "~key" FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] WHERE i.indrelid = "~target" AND i.indisprimary;
    IF "~order" IS NULL THEN
        -- Rows that are not soft-deleted first, then the oldest.
        SELECT pg_catalog.string_agg(o.part, ', ' ORDER BY o.place) INTO "~order" FROM (
            SELECT pg_catalog.format('(%%I IS NOT NULL)', a.attname) AS part, u.place FROM pg_catalog.pg_attribute AS a
            JOIN pg_catalog.unnest({soft_deleted}::text[]) WITH ORDINALITY AS u(name, place) ON u.name = a.attname WHERE a.attrelid = "~target" AND NOT a.attisdropped
          UNION ALL
            SELECT pg_catalog.format('coalesce(%%I, false)', a.attname), 100 + u.place FROM pg_catalog.pg_attribute AS a
            JOIN pg_catalog.unnest({flags}::text[]) WITH ORDINALITY AS u(name, place) ON u.name = a.attname
            JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
            WHERE a.attrelid = "~target" AND NOT a.attisdropped AND coalesce(nullif(t.typbasetype, 0), t.oid) = 'bool'::regtype
          UNION ALL
            (SELECT pg_catalog.quote_ident(a.attname), 200 FROM pg_catalog.pg_attribute AS a
             JOIN pg_catalog.unnest({created}::text[]) WITH ORDINALITY AS u(name, place) ON u.name = a.attname
             WHERE a.attrelid = "~target" AND NOT a.attisdropped ORDER BY u.place LIMIT 1)
        ) AS o;
    END IF;
    EXECUTE pg_catalog.format('CREATE TEMPORARY TABLE "~merged" ON COMMIT DROP AS
        SELECT row_number() OVER (ORDER BY q."~place", q."~unit") AS "~row", q."~unit", q."~old", q."~new" FROM (
            SELECT %%2$I AS "~old", row_number() OVER w AS "~unit", first_value(%%2$I) OVER w AS "~new", min(ctid) OVER (PARTITION BY %%3$I, %%4$I) AS "~place"
            FROM %%1$s WHERE %%3$I IS NOT NULL AND %%4$I IS NOT NULL WINDOW w AS (PARTITION BY %%3$I, %%4$I ORDER BY %%5$s)) AS q
        WHERE q."~unit" > 1', "~target", "~key".name, {workspace}, {phone}, pg_catalog.concat_ws(', ', "~order", pg_catalog.quote_ident("~key".name)));
    CREATE UNIQUE INDEX ON pg_temp."~merged" ("~old");
    ANALYZE pg_temp."~merged";
    SELECT count(*) INTO "~rows" FROM pg_temp."~merged";
    IF "~rows" = 0 THEN
        RETURN;
    END IF;
    INSERT INTO {home}.run (source, source_schema, source_name, settings) VALUES ("~target"::oid, {schema}, {table}, {settings}) RETURNING id INTO "~run";
    INSERT INTO {home}.batch (run) VALUES ("~run") RETURNING id INTO "~batch";

    -- A journal for each table that refers to the contacts, for all of its columns that do.
    FOR "~child" IN
        SELECT c.oid, n.nspname AS schema, c.relname AS name,
               ARRAY(SELECT u.number::int FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS u(number, n) ORDER BY u.n) AS keys,
               ARRAY(SELECT p.attname::text FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS u(number, n)
                     JOIN pg_catalog.pg_attribute AS p ON p.attrelid = c.oid AND p.attnum = u.number ORDER BY u.n) AS key_names,
               pg_catalog.array_agg(a.attnum::int ORDER BY a.attnum) AS numbers, pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) AS names
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
        JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
        WHERE pg_catalog.to_json(ARRAY[n.nspname, c.relname, a.attname]::text[])::text = ANY ({known}::text[])
        GROUP BY c.oid, n.nspname, c.relname, i.indkey ORDER BY c.oid
    LOOP
        "~name" := pg_catalog.left('journal_' || (cardinality("~relations") + 1) || '_' || "~child".name, 40);
        EXECUTE (SELECT pg_catalog.format('CREATE TABLE %%s.%%I AS SELECT 0::bigint AS "~op", %%s, %%s, %%s, %%s FROM %%s AS t WITH NO DATA', "~home", "~name",
                   (SELECT pg_catalog.string_agg(pg_catalog.format('t.%%I AS %%I', k.name, '~k' || k.number), ', ' ORDER BY k.n)
                    FROM ROWS FROM (pg_catalog.unnest("~child".keys), pg_catalog.unnest("~child".key_names)) WITH ORDINALITY AS k(number, name, n)),
                   pg_catalog.string_agg(pg_catalog.format('t.%%I AS %%I', u.name, '~o' || u.number), ', ' ORDER BY u.n),
                   pg_catalog.string_agg(pg_catalog.format('t.%%I AS %%I', u.name, '~n' || u.number), ', ' ORDER BY u.n),
                   pg_catalog.string_agg(pg_catalog.format('0::bigint AS %%I', '~p' || u.number), ', ' ORDER BY u.n), "~child".oid::regclass)
                 FROM ROWS FROM (pg_catalog.unnest("~child".numbers), pg_catalog.unnest("~child".names)) WITH ORDINALITY AS u(number, name, n));
        EXECUTE pg_catalog.format('ALTER TABLE %%1$s.%%2$I ADD COLUMN "~id" bigint GENERATED ALWAYS AS IDENTITY, ADD PRIMARY KEY ("~op", "~id")', "~home", "~name");
        EXECUTE pg_catalog.format('ALTER TABLE %%s.%%I ENABLE ROW LEVEL SECURITY', "~home", "~name");
        INSERT INTO {home}.relation (kind, name, source, source_schema, source_name, numbers, names, keys, key_names, moving, shape)
        VALUES ('journal', "~name", "~child".oid, "~child".schema, "~child".name, "~child".numbers, "~child".names, "~child".keys,
                "~child".key_names, "~child".numbers, 'rendered without a database: ' || "~name") RETURNING id INTO "~relation";
        "~relations" := "~relations" || "~relation";
        "~journals" := "~journals" || "~name";
    END LOOP;
    IF cardinality("~relations") > 0 THEN
        INSERT INTO {home}.op (batch, kind, relations) VALUES ("~batch", 'move', "~relations") RETURNING id INTO "~op";
        FOR "~child" IN
            SELECT r.name AS journal, r.source::regclass AS name, r.names, r.key_names FROM {home}.relation AS r WHERE r.name = ANY ("~journals") ORDER BY r.id
        LOOP
            EXECUTE (SELECT pg_catalog.format('WITH "~moved" AS (
                    UPDATE %%1$s AS t SET %%2$s FROM %%1$s AS b %%3$s WHERE t.ctid = b.ctid AND (%%4$s) RETURNING %%5$s, %%6$s, %%7$s, %%8$s)
                INSERT INTO %%9$s.%%10$I SELECT %%11$s, "~moved".* FROM "~moved"', "~child".name,
                pg_catalog.string_agg(pg_catalog.format('%%1$I = coalesce(m%%2$s."~new", b.%%1$I)', u.name, u.n), ', ' ORDER BY u.n),
                pg_catalog.string_agg(pg_catalog.format('LEFT JOIN pg_temp."~merged" AS m%%2$s ON m%%2$s."~old" = b.%%1$I', u.name, u.n), ' ' ORDER BY u.n),
                pg_catalog.string_agg(pg_catalog.format('m%%s."~old" IS NOT NULL', u.n), ' OR ' ORDER BY u.n),
                (SELECT pg_catalog.string_agg('t.' || pg_catalog.quote_ident(k.name), ', ' ORDER BY k.n) FROM pg_catalog.unnest("~child".key_names) WITH ORDINALITY AS k(name, n)),
                pg_catalog.string_agg(pg_catalog.format('b.%%1$I AS "~o%%2$s"', u.name, u.n), ', ' ORDER BY u.n),
                pg_catalog.string_agg(pg_catalog.format('t.%%1$I AS "~n%%2$s"', u.name, u.n), ', ' ORDER BY u.n),
                pg_catalog.string_agg(pg_catalog.format('m%%1$s."~row" AS "~p%%1$s"', u.n), ', ' ORDER BY u.n), "~home", "~child".journal, "~op")
              FROM pg_catalog.unnest("~child".names) WITH ORDINALITY AS u(name, n));
        END LOOP;
    END IF;

    "~name" := pg_catalog.left('archive_' || (cardinality("~relations") + 1) || '_' || {table}, 40);
    EXECUTE pg_catalog.format('CREATE TABLE %%s.%%I AS SELECT 0::bigint AS "~op", 0::bigint AS "~row", 0::bigint AS "~unit", t.%%I AS %%I, t.* FROM %%s AS t WITH NO DATA',
        "~home", "~name", "~key".name, '~into' || "~key".number, "~target");
    EXECUTE pg_catalog.format('ALTER TABLE %%1$s.%%2$I ADD COLUMN "~id" bigint GENERATED ALWAYS AS IDENTITY, ADD PRIMARY KEY ("~op", "~id")', "~home", "~name");
    EXECUTE pg_catalog.format('CREATE INDEX ON %%s.%%I (%%I)', "~home", "~name", "~key".name);
    EXECUTE pg_catalog.format('ALTER TABLE %%s.%%I ENABLE ROW LEVEL SECURITY', "~home", "~name");
    INSERT INTO {home}.relation (kind, name, source, source_schema, source_name, numbers, names, keys, key_names, moving, shape)
    SELECT 'archive', "~name", "~target"::oid, {schema}, {table}, pg_catalog.array_agg(a.attnum::int ORDER BY a.attnum), pg_catalog.array_agg(a.attname::text ORDER BY a.attnum),
           ARRAY["~key".number], ARRAY["~key".name::text], '{{}}', 'rendered without a database: ' || "~name"
    FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = "~target" AND a.attnum > 0 AND NOT a.attisdropped RETURNING id INTO "~relation";
    INSERT INTO {home}.op (batch, kind, relations) VALUES ("~batch", 'archive', ARRAY["~relation"]) RETURNING id INTO "~op";
    EXECUTE pg_catalog.format('WITH "~gone" AS (
            DELETE FROM %%1$s AS t USING pg_temp."~merged" AS m WHERE t.%%2$I = m."~old" RETURNING m."~row", m."~unit", m."~new", t.*)
        INSERT INTO %%3$s.%%4$I SELECT %%5$s, "~gone".* FROM "~gone" ORDER BY "~row"', "~target", "~key".name, "~home", "~name", "~op");
    GET DIAGNOSTICS "~gone" = ROW_COUNT;
    IF "~gone" <> "~rows" THEN
        RAISE EXCEPTION 'a trigger or a rule kept rows of %% from being removed', "~target" USING HINT = 'let it pass what a merge does, or disable it for the merge';
    END IF;
END $merge$
