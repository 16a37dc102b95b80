#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A transaction that spills to its journal.  Its locks are POSIX file locks, which a checkpoint does
# not hold: hence the VFS without them.  Its temporary file is large and has no name.
# dump: --ghost-limit 1G
sqlite3 -bail -vfs unix-none data.sqlite > output << 'END'
pragma cache_size = 50;
create table numbers (id integer primary key, value text, hash integer);
create index by_hash on numbers (hash);
begin;
with recursive n (i) as (select 1 union all select i + 1 from n where i < 200000)
insert into numbers select i, printf('%08d-%s', i, hex(i * 7919)), (i * 2654435761) % 1000003 from n;
update numbers set value = value || '+' where hash % 3 = 0;
delete from numbers where hash % 7 = 1;
savepoint inner;
update numbers set hash = 0;
rollback to inner;
commit;
begin;
delete from numbers where id % 2 = 0;
rollback;
pragma integrity_check;
select count(*), sum(hash), max(value), sum(length(value)) from numbers;
END
