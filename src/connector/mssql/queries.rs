//! Every statement that is ours. Fixed texts, for SQL Server 2005 and later; what varies is compared here, not there.

/// Full backups that the instance remembers, newest first: what is in which file.
pub const BACKUPS: &str = "SELECT TOP 1000 s.backup_set_id, s.backup_set_uuid, s.media_set_id, s.position, s.name, s.description, \
     s.database_name, s.is_copy_only, s.is_damaged, s.backup_size, s.first_lsn, s.last_lsn, s.backup_start_date, s.backup_finish_date, \
     f.family_sequence_number, f.physical_device_name \
     FROM msdb.dbo.backupset AS s INNER JOIN msdb.dbo.backupmediafamily AS f ON f.media_set_id = s.media_set_id \
     WHERE s.type = N'D' ORDER BY s.backup_set_id DESC, f.family_sequence_number";

/// Restores that the instance remembers, newest first.
pub const RESTORES: &str = "SELECT TOP 500 h.restore_history_id, h.restore_date, h.destination_database_name, h.restore_type, \
     s.backup_set_uuid, s.database_name \
     FROM msdb.dbo.restorehistory AS h LEFT JOIN msdb.dbo.backupset AS s ON s.backup_set_id = h.backup_set_id \
     ORDER BY h.restore_history_id DESC";

/// Backups and restores that are under way; without the right to see others' only our own.
pub const UNDER_WAY: &str = "SELECT r.session_id, r.command, DB_NAME(r.database_id) AS database_name, r.percent_complete \
     FROM sys.dm_exec_requests AS r WHERE r.command LIKE N'BACKUP%' OR r.command LIKE N'RESTORE%'";

/// The databases.
pub const DATABASES: &str = "SELECT d.name, d.state_desc, d.recovery_model_desc FROM sys.databases AS d";

/// How large their files are.
pub const SIZES: &str = "SELECT DB_NAME(f.database_id) AS database_name, f.type_desc, CAST(f.size AS bigint) * 8192 AS bytes \
     FROM sys.master_files AS f";

/// Who is connected; without the right to see others only ourselves.
pub const CONNECTED: &str = "SELECT p.spid, DB_NAME(p.dbid) AS database_name, p.loginame, p.hostname, p.program_name \
     FROM sys.sysprocesses AS p WHERE p.dbid > 0 AND p.spid <> @@SPID";

/// What the login may do, in the database that it is asked in.
pub const RIGHTS: &str = "SELECT IS_SRVROLEMEMBER(N'sysadmin') AS is_sysadmin, IS_SRVROLEMEMBER(N'dbcreator') AS is_dbcreator, \
     HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE') AS sees_all, \
     HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'BACKUP DATABASE') AS may_back_up, \
     HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'INSERT') AS may_write, \
     SERVERPROPERTY(N'ComputerNamePhysicalNetBIOS') AS machine, SERVERPROPERTY(N'ProductVersion') AS version, SUSER_SNAME() AS login_name";

/// What a content database of Persistent Chat holds; asked in that database. Tables and columns as Microsoft documents them.
pub const CHAT: &str = "SELECT (SELECT COUNT_BIG(*) FROM dbo.tblNode WHERE nodeType = 0) AS rooms, \
     (SELECT COUNT_BIG(*) FROM dbo.tblNode WHERE nodeType = 1) AS categories, (SELECT COUNT_BIG(*) FROM dbo.tblChat) AS messages";
