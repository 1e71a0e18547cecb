//! `mgc` and `mgccomp`, as a fresh deployment of Persistent Chat 2013 leaves them: the static tables filled, the tree with its
//! root alone. Tables and columns: Microsoft, "Persistent Chat database schema" for Lync Server 2013.

use rusqlite::{Connection, Result};

const SCHEMA: &str = "
CREATE TABLE tblPrincipalType (ptypeID smallint NOT NULL PRIMARY KEY, ptypeDesc nvarchar(256) NOT NULL, ptypeIsSystemUser bit NOT NULL, ptypeIsUser bit NOT NULL);
CREATE TABLE tblPrincipal (prinID INTEGER NOT NULL PRIMARY KEY, prinGuid uniqueidentifier NOT NULL COLLATE NOCASE UNIQUE,
    prinUri nvarchar(256) NOT NULL COLLATE NOCASE, prinName nvarchar(256), prinDisplayName nvarchar(256), prinCompanyName nvarchar(256),
    prinEmail nvarchar(256), prinADPath nvarchar(384), prinADUserPrincipalName nvarchar(256), prinDisabled smallint NOT NULL,
    prinTypeID smallint NOT NULL REFERENCES tblPrincipalType, prinPoolID int, prinPolicyID int, prinAddedBy int, prinAddedOn bigint NOT NULL,
    prinUpdatedBy int, prinUpdatedOn bigint NOT NULL, prinVerifiedOn datetime NOT NULL);
CREATE TABLE tblNode (nodeID INTEGER NOT NULL PRIMARY KEY, nodeGuid uniqueidentifier NOT NULL COLLATE NOCASE UNIQUE, parentID int,
    nodeType bit NOT NULL, nodeName nvarchar(256) NOT NULL COLLATE NOCASE CHECK (length(nodeName) <= 256), nodeDesc nvarchar(256) NOT NULL,
    invite bit, logged bit, filePost bit, disabled bit NOT NULL, behavior smallint NOT NULL, visibility smallint NOT NULL,
    siopID uniqueidentifier, nodeAddedBy int NOT NULL, nodeAddedOn bigint NOT NULL, nodeUpdatedBy int NOT NULL, nodeUpdatedOn bigint NOT NULL);
CREATE TABLE tblRoleType (rtypeID int NOT NULL PRIMARY KEY, rtypeDesc nvarchar(256) NOT NULL);
CREATE TABLE tblPrincipalRole (prinRoleNodeID int NOT NULL REFERENCES tblNode, prinRolePrinID int NOT NULL REFERENCES tblPrincipal,
    prinRoleTypeID int NOT NULL REFERENCES tblRoleType, prinRoleUpdatedBy int NOT NULL, PRIMARY KEY (prinRoleNodeID, prinRolePrinID, prinRoleTypeID));
CREATE TABLE tblScopePrincipal (scopeNodeID int NOT NULL REFERENCES tblNode, scopePrinID int NOT NULL REFERENCES tblPrincipal, PRIMARY KEY (scopeNodeID, scopePrinID));
CREATE TABLE tblPrincipalAffiliations (principalID int NOT NULL REFERENCES tblPrincipal, affiliationID int NOT NULL REFERENCES tblPrincipal,
    [index] int NOT NULL, updatedBy int NOT NULL, PRIMARY KEY (principalID, [index], affiliationID)) WITHOUT ROWID;
CREATE TABLE tblChat (channelId int NOT NULL, chatId bigint NOT NULL, chatDate bigint NOT NULL, userId int NOT NULL, isAlert bit NOT NULL,
    content \"nvarchar(max)\" NOT NULL, rtf \"varchar(max)\", PRIMARY KEY (channelId, chatId)) WITHOUT ROWID;
CREATE TABLE tblServerIdentity (serverID int NOT NULL PRIMARY KEY, serverAddress nvarchar(256) NOT NULL, serverLastPingTime datetime);
CREATE TABLE tblAdminLock (lockID int NOT NULL PRIMARY KEY, lockOwner nvarchar(256), lockExpires datetime);
INSERT INTO tblPrincipalType VALUES (1, 'Any', 0, 0), (2, 'AnyUser', 0, 1), (3, 'AnyGroup', 0, 0), (4, 'SystemUser', 1, 0), (5, 'User', 0, 1),
    (8, 'DC', 0, 0), (9, 'Group', 0, 0), (10, 'Folder', 0, 0);
INSERT INTO tblRoleType VALUES (1, 'Creator'), (2, 'Manager'), (3, 'Presenter'), (4, 'Member');
INSERT INTO tblPrincipal VALUES (1, '5f2d1c4e-0000-4000-8000-000000000001', 'ma-grp://contoso.lan/system', NULL, NULL, NULL, NULL, NULL, NULL, 0, 4,
    NULL, NULL, NULL, 635000000000000000, NULL, 635000000000000000, '2013-03-18T09:00:00');
INSERT INTO tblNode VALUES (1, '5f2d1c4e-0000-4000-8000-0000000000a1', 1, 1, 'Root', '', 0, 1, 0, 0, 4, 3, NULL, 1, 635000000000000000, 1, 635000000000000000);
";

/// Empty: rows stand here only until the adapter has taken them.
const COMPLIANCE: &str = "
CREATE TABLE tblComplianceData (cmpID INTEGER NOT NULL PRIMARY KEY, cmpType int NOT NULL, cmpDate bigint NOT NULL, cmpChannelID int, cmpUserID int,
    cmpData \"nvarchar(max)\");
CREATE TABLE tblComplianceParticipant (cmpChannelID int NOT NULL, cmpUserID int NOT NULL, cmpJoined bigint NOT NULL, PRIMARY KEY (cmpChannelID, cmpUserID));
CREATE TABLE tblComplianceVersion (versionID int NOT NULL PRIMARY KEY, versionText nvarchar(256) NOT NULL);
INSERT INTO tblComplianceVersion VALUES (1, '5.0.8308.0');
";

fn within(connection: &mut Connection, text: &str) -> Result<()> {
    let work = connection.transaction()?;
    work.execute_batch(text)?;
    work.commit()
}

/// Makes the content database.
///
/// # Errors
/// SQLite's.
pub fn fill(connection: &mut Connection) -> Result<()> {
    within(connection, SCHEMA)
}

/// Makes the compliance database.
///
/// # Errors
/// SQLite's.
pub fn fill_compliance(connection: &mut Connection) -> Result<()> {
    within(connection, COMPLIANCE)
}

/// Rooms of a pool that has work of its own, and what was said in them.
const OTHER: &str = "
INSERT INTO tblNode VALUES (2, '5f2d1c4e-0000-4000-8000-0000000000a2', 1, 1, 'Legal', 'Matters of law', 0, 1, 1, 0, 4, 3, NULL, 1, 635000000000000000, 1, 635000000000000000);
INSERT INTO tblNode (nodeGuid, parentID, nodeType, nodeName, nodeDesc, invite, logged, filePost, disabled, behavior, visibility, nodeAddedBy, nodeAddedOn, nodeUpdatedBy, nodeUpdatedOn)
    SELECT '5f2d1c4e-0000-4000-8000-0000000000b' || value, 2, 0, 'Contracts ' || value, '', NULL, 1, 1, 0, 4, 3, 1, 635000000000000000, 1, 635000000000000000
    FROM json_each('[1,2,3]');
INSERT INTO tblChat SELECT nodeID, value, 635000000000000000 + value * 600000000, 1, 0, 'Clause ' || value || ' is agreed', NULL
    FROM tblNode CROSS JOIN json_each('[1,2,3,4,5,6,7,8,9,10]') WHERE nodeType = 0;
";

/// Makes the content database of another pool, which has rooms already.
///
/// # Errors
/// SQLite's.
pub fn fill_other(connection: &mut Connection) -> Result<()> {
    within(connection, SCHEMA)?;
    within(connection, OTHER)
}
