# What samba.rs runs inside its namespaces, with R (relevo), PLAN, FOLDER and RELEVO_LAB set. Every command with the exit code
# that it must have.
set -u
ip link set lo up
expect() {
    wanted=$1; shift
    echo "## $*"
    "$@"; got=$?
    [ "$got" = "$wanted" ] || { echo "!! exit $got instead of $wanted: $*"; exit 1; }
}
as() {
    LDAPTLS_CACERT=$RELEVO_LAB/ca.pem ldapsearch -x -LLL -o ldif-wrap=no -H ldaps://127.0.0.2 -D "$1@contoso.lan" \
        -y "$RELEVO_LAB/$1.password" "${@:2}"
}
address='(msRTCSIP-PrimaryUserAddress=sip:ocschat@contoso.lan)'
contacts='CN=Application Contacts,CN=RTC Service,CN=Services,CN=Configuration,DC=contoso,DC=lan'
# What the directory has of the address: the user, the contact, the tombstone as Samba itself keeps it.
directory() {
    echo "# $1: user"
    expect 0 as Administrator -b DC=contoso,DC=lan "$address" cn
    echo "# $1: contact"
    expect 0 as Administrator -b "$contacts" "$address" msRTCSIP-PrimaryUserAddress
    echo "# $1: tombstone"
    expect 0 ldbsearch -H "$RELEVO_LAB/samba/private/sam.ldb" --show-deleted '(&(isDeleted=TRUE)(sAMAccountName=ocschat))' sAMAccountName
    echo "# $1: end"
}
# Kills the run $1 at once when its journal tells of an attempt of the step $2, and sees that it had not ended.
kill_at() {
    until grep -qs "attempt_started.*\"$2" "$FOLDER"/killed/*/journal; do
        kill -0 "$1" 2>/dev/null || { echo "!! it ended before $2"; exit 1; }
    done
    kill -9 "$1"
    expect 137 wait "$1"
}

expect 0 "$R" lab up --directory samba
directory before
echo '# rehearsal'
expect 0 "$R" rehearse "$PLAN" --lab=keep --runs "$FOLDER/rehearsed"
echo '# written'
expect 0 "$R" lab audit --writes
directory rehearsed

echo '# run'
expect 0 "$R" run "$PLAN" --lab=keep --go --runs "$FOLDER/runs"
expect 0 "$R" report --runs "$FOLDER/runs"
directory run
echo '# audit of the run'
expect 0 "$R" lab audit --writes --format json
echo '# audit ends'

# A fresh domain, and relevo killed three times on its way.
echo '# killed'
"$R" run "$PLAN" --lab --go --runs "$FOLDER/killed" >"$FOLDER/killed.out" 2>&1 & kill_at $! stop-legacy
for step in delete-user endpoint; do
    "$R" resume --yes --go --runs "$FOLDER/killed" >>"$FOLDER/killed.out" 2>&1 & kill_at $! "$step\["
done
expect 0 "$R" resume --yes --go --runs "$FOLDER/killed"
directory killed
echo '# audit of the killed'
expect 0 "$R" lab audit --writes --format json
echo '# audit ends'
expect 0 "$R" lab down
echo '# end'
