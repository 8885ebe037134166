-- name: script
-- Proves that the constraint is there and does what it should. Changes nothing: what is tried is undone at once.
DROP TABLE IF EXISTS pg_temp."~checks";
CREATE TEMPORARY TABLE "~checks" (n int GENERATED ALWAYS AS IDENTITY, "check" text, ok boolean, expected text, found text);
DO $verify$
DECLARE
    "~constraint" CONSTANT text := {constraint};
    "~label" CONSTANT text := pg_catalog.format('%%I.%%I', {schema}, {table});
    "~columns" CONSTANT text[] := {columns};
    "~target" CONSTANT regclass := pg_catalog.to_regclass("~label");
    "~refused" CONSTANT text := pg_catalog.format('rejected by %%s (SQLSTATE 23505)', "~constraint");
    "~names" text[];
    "~names_of" text;
    "~faults" text[];
    "~rows" bigint;
    "~reference" record;
    "~case" record;
    "~contact" record;
    "~parent" record;
    "~workspace" text;
    "~phone" text;
    "~last" int;
    "~values" text;
    "~why" text;
    "~by" text;
    "~found" text;
    "~ok" boolean;
BEGIN
    IF "~target" IS NULL THEN
        RAISE EXCEPTION 'there is no table %%', "~label" USING HINT = 'set schema and table, or connect to another database';
    END IF;
    PERFORM pg_catalog.set_config('row_security', 'off', true), pg_catalog.set_config('lock_timeout', '2s', true),
            pg_catalog.set_config('statement_timeout', '0', true),
            pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', pg_catalog.quote_ident({schema}), nullif(pg_catalog.btrim(
                pg_catalog.regexp_replace(pg_catalog.current_setting('search_path'), '(^|,)\s*"?pg_catalog"?\s*(?=,|$)', '', 'g'), ', '), '')), true);

    SELECT pg_catalog.array_agg(k.column_name::text ORDER BY k.ordinal_position) INTO "~names"
    FROM information_schema.table_constraints AS c
    JOIN information_schema.key_column_usage AS k USING (constraint_schema, constraint_name, table_schema, table_name)
    WHERE c.constraint_type = 'UNIQUE' AND c.constraint_name = "~constraint" AND c.table_schema = {schema} AND c.table_name = {table};
    INSERT INTO pg_temp."~checks" ("check", ok, expected, found) VALUES ('constraint',
        coalesce("~names" @> "~columns" AND "~columns" @> "~names", false),
        pg_catalog.format('%%s UNIQUE (%%s) in information_schema', "~constraint", pg_catalog.array_to_string("~columns", ', ')),
        CASE WHEN "~names" IS NULL THEN 'no such constraint' ELSE pg_catalog.format('UNIQUE (%%s)', pg_catalog.array_to_string("~names", ', ')) END);

    SELECT pg_catalog.array_remove(ARRAY[CASE WHEN NOT i.indisvalid THEN 'not valid' END, CASE WHEN NOT i.indisready THEN 'not ready' END,
           CASE WHEN NOT i.indisunique THEN 'not unique' END, CASE WHEN NOT i.indimmediate THEN 'deferrable' END,
           CASE WHEN i.indpred IS NOT NULL THEN 'partial' END, CASE WHEN i.indnullsnotdistinct THEN 'NULLS NOT DISTINCT' END], NULL)
    INTO "~faults" FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = "~target" AND c.relname = "~constraint";
    INSERT INTO pg_temp."~checks" ("check", ok, expected, found) VALUES ('index', coalesce("~faults" = '{{}}', false),
        'a valid unique index', CASE WHEN "~faults" IS NULL THEN 'no index of this name' WHEN "~faults" = '{{}}' THEN 'valid'
        ELSE pg_catalog.array_to_string("~faults", ', ') END);

    EXECUTE pg_catalog.format('SELECT count(*) FROM (SELECT FROM %%s WHERE %%I IS NOT NULL AND %%I IS NOT NULL GROUP BY %%I, %%I HAVING count(*) > 1) AS g',
        "~target", "~columns"[1], "~columns"[2], "~columns"[1], "~columns"[2]) INTO "~rows";
    INSERT INTO pg_temp."~checks" ("check", ok, expected, found)
    VALUES ('duplicates', "~rows" = 0, 'no duplicates', CASE "~rows" WHEN 0 THEN 'none' ELSE "~rows" || ' groups' END);

    -- Every foreign key to the table, and the references that were declared: (label, columns, condition that the row dangles).
    FOR "~reference" IN
        SELECT k.conrelid::regclass::text AS child, pg_catalog.string_agg(a.attname, ', ' ORDER BY u.n) AS columns,
               pg_catalog.string_agg(pg_catalog.format('c.%%I IS NOT NULL', a.attname), ' AND ')
               || pg_catalog.format(' AND NOT EXISTS (SELECT FROM %%s AS p WHERE ', k.confrelid::regclass)
               || pg_catalog.string_agg(pg_catalog.format('p.%%I = c.%%I', p.attname, a.attname), ' AND ') || ')' AS dangles
        FROM pg_catalog.pg_constraint AS k
        CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey)) WITH ORDINALITY AS u(child, parent, n)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.child
        JOIN pg_catalog.pg_attribute AS p ON p.attrelid = k.confrelid AND p.attnum = u.parent
        WHERE k.contype = 'f' AND k.confrelid = "~target" AND k.conparentid = 0 GROUP BY k.oid, k.conrelid, k.confrelid
      UNION ALL
        {declared}
        ORDER BY 1, 2
    LOOP
        EXECUTE pg_catalog.format('SELECT count(*) FROM %%s AS c WHERE %%s', "~reference".child, "~reference".dangles) INTO "~rows";
        INSERT INTO pg_temp."~checks" ("check", ok, expected, found) VALUES ('references', "~rows" = 0,
            pg_catalog.format('every %%s (%%s) leads to a row', "~reference".child, "~reference".columns),
            CASE "~rows" WHEN 0 THEN 'all do' ELSE "~rows" || ' rows that lead nowhere' END);
    END LOOP;

    -- The three cases, each made from a copy of a real row; whatever has to be unique in it is made up.
    EXECUTE pg_catalog.format('SELECT ctid AS place, %%I::text AS workspace, %%I::text AS phone FROM %%s WHERE %%I IS NOT NULL AND %%I IS NOT NULL LIMIT 1',
        "~columns"[1], "~columns"[2], "~target", "~columns"[1], "~columns"[2]) INTO "~contact";
    FOR "~case" IN SELECT * FROM (VALUES (1, 'duplicate phone in the same workspace', "~refused"),
        (2, 'same phone in another workspace', 'allowed'), (3, 'another phone in the same workspace', 'allowed')) AS c(n, name, expected)
    LOOP
        "~why" := CASE WHEN "~contact".place IS NULL THEN 'no row has the whole key; `contacts-schema verify` makes one up' END;
        "~workspace" := pg_catalog.quote_literal("~contact".workspace);
        "~phone" := "~contact".phone;
        IF "~why" IS NULL AND "~case".n = 2 THEN
            SELECT k.confrelid::regclass AS parent, p.attname INTO "~parent" FROM pg_catalog.pg_constraint AS k
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum] AND a.attname = "~columns"[1]
            JOIN pg_catalog.pg_attribute AS p ON p.attrelid = k.confrelid AND p.attnum = k.confkey[1]
            WHERE k.contype = 'f' AND k.conrelid = "~target" LIMIT 1;
            IF FOUND THEN
                EXECUTE pg_catalog.format('SELECT pg_catalog.quote_literal(p.%%1$I::text) FROM %%2$s AS p WHERE NOT EXISTS (SELECT FROM %%3$s AS c WHERE c.%%4$I = p.%%1$I AND c.%%5$I::text = $1) LIMIT 1',
                    "~parent".attname, "~parent".parent, "~target", "~columns"[1], "~columns"[2]) INTO "~workspace" USING "~phone";
                "~why" := CASE WHEN "~workspace" IS NULL THEN 'there is no other workspace without this phone' END;
            ELSE
                SELECT CASE t.typcategory WHEN 'N' THEN pg_catalog.format('(SELECT max(%%1$I) + 100 FROM %%2$s)', a.attname, "~target")
                       WHEN 'S' THEN 'pg_catalog.md5(pg_catalog.random()::text)' ELSE CASE WHEN t.typname = 'uuid' THEN 'pg_catalog.gen_random_uuid()' END END
                INTO "~workspace" FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
                WHERE a.attrelid = "~target" AND a.attname = "~columns"[1];
                "~why" := CASE WHEN "~workspace" IS NULL THEN 'no workspace can be made up' END;
            END IF;
        ELSIF "~why" IS NULL AND "~case".n = 3 THEN
            -- The same form with other digits at its end; where it has none, with digits behind it.
            "~phone" := NULL;
            FOR "~last" IN 10..99 LOOP
                "~phone" := CASE WHEN "~contact".phone ~ '[0-9]{{2}}$' THEN pg_catalog.left("~contact".phone, -2) || "~last" ELSE "~contact".phone || "~last" END;
                EXECUTE pg_catalog.format('SELECT NOT EXISTS (SELECT FROM %%s WHERE %%I::text = $1 AND %%I::text = $2)', "~target", "~columns"[1], "~columns"[2])
                INTO "~ok" USING "~contact".workspace, "~phone";
                EXIT WHEN "~ok";
                "~phone" := NULL;
            END LOOP;
            "~why" := CASE WHEN "~phone" IS NULL THEN 'no free phone was found' END;
        END IF;
        IF "~why" IS NULL THEN
            SELECT pg_catalog.string_agg(pg_catalog.quote_ident(q.name), ', ' ORDER BY q.number), pg_catalog.string_agg(q.value, ', ' ORDER BY q.number),
                   min(CASE WHEN q.value IS NULL THEN pg_catalog.format('no new value can be made up for "%%s" of type %%s', q.name, q.type) END)
            INTO "~names_of", "~values", "~why" FROM (
                SELECT a.attname AS name, a.attnum AS number, y.type,
                       CASE WHEN a.attname = "~columns"[1] THEN pg_catalog.format('CAST(%%s AS %%s)', "~workspace", y.type)
                            WHEN a.attname = "~columns"[2] THEN pg_catalog.format('CAST(%%L AS %%s)', "~phone", y.type)
                            WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = a.attrelid AND (i.indisunique OR i.indisexclusion)
                                 AND (a.attnum = ANY (i.indkey) OR EXISTS (SELECT FROM pg_catalog.pg_depend AS m WHERE m.classid = 'pg_catalog.pg_class'::regclass
                                      AND m.objid = i.indexrelid AND m.refobjid = a.attrelid AND m.refobjsubid = a.attnum))) THEN pg_catalog.quote_ident(a.attname)
                            WHEN NOT a.attnotnull THEN 'NULL'
                            WHEN y.type = 'uuid' THEN 'pg_catalog.gen_random_uuid()'
                            WHEN y.type = 'smallint' THEN pg_catalog.format('(SELECT greatest(max(%%I), 0) + 100 FROM %%s)', a.attname, "~target")
                            WHEN t.typcategory = 'N' THEN pg_catalog.format('(SELECT greatest(max(%%I), 0) + 1000000 FROM %%s)', a.attname, "~target")
                            WHEN t.typcategory = 'S' THEN pg_catalog.format('CAST(pg_catalog.md5(pg_catalog.random()::text) AS %%s)', y.type)
                            WHEN t.typcategory = 'D' THEN pg_catalog.format('CAST(pg_catalog.clock_timestamp() AS %%s)', y.type) END AS value
                FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
                CROSS JOIN LATERAL (SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) AS type) AS y
                WHERE a.attrelid = "~target" AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
            ) AS q;
        END IF;
        IF "~why" IS NULL THEN
            BEGIN
                EXECUTE pg_catalog.format('INSERT INTO %%1$s (%%2$s) OVERRIDING SYSTEM VALUE SELECT %%3$s FROM %%1$s WHERE ctid = %%4$L', "~target",
                    "~names_of", "~values", "~contact".place);
                GET DIAGNOSTICS "~rows" = ROW_COUNT;
                RAISE EXCEPTION USING ERRCODE = 'CSOUT';
            EXCEPTION
                WHEN SQLSTATE 'CSOUT' THEN
                    "~found" := CASE WHEN "~rows" = 1 THEN 'allowed' END;
                    "~why" := CASE WHEN "~rows" <> 1 THEN 'a trigger or a rule swallows new rows' END;
                    "~ok" := "~found" = "~case".expected;
                WHEN OTHERS THEN
                    GET STACKED DIAGNOSTICS "~by" = CONSTRAINT_NAME;
                    "~found" := pg_catalog.format('rejected%%s (SQLSTATE %%s)', ' by ' || nullif("~by", ''), SQLSTATE);
                    -- Whatever else rejects a row says nothing about the constraint.
                    "~ok" := CASE WHEN "~found" = "~case".expected THEN true WHEN "~by" = "~constraint" THEN false END;
            END;
        END IF;
        INSERT INTO pg_temp."~checks" ("check", ok, expected, found)
        VALUES ("~case".name, CASE WHEN "~why" IS NULL THEN "~ok" END, "~case".expected, coalesce('not tried: ' || "~why", "~found"));
    END LOOP;
END $verify$;
SELECT "check", CASE ok WHEN true THEN 'holds' WHEN false THEN 'FAILS' ELSE 'unsure' END AS result, expected, found FROM pg_temp."~checks" ORDER BY n

-- name: declared
SELECT pg_catalog.format('%%I.%%I', {schema}, {table}), {column}, pg_catalog.replace({condition}, '~key',
               coalesce({key}, (SELECT pg_catalog.quote_ident(a.attname) FROM pg_catalog.pg_index AS i
                                JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                                WHERE i.indisprimary AND i.indrelid = pg_catalog.to_regclass({target}))))

-- name: nothing_declared
SELECT NULL::text, NULL::text, NULL::text WHERE false
