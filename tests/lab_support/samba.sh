# What tests/lab_samba.rs runs inside its namespaces, with R (relevo), FOLDER and RELEVO_LAB set. Every command with the
# exit code that it must have.
set -u
ip link set lo up
expect() {
    wanted=$1; shift
    echo "## $*"
    "$@"; got=$?
    [ "$got" = "$wanted" ] || { echo "!! exit $got instead of $wanted: $*"; exit 1; }
}
number() { "$R" lab info --format json | sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" | head -n 1; }
pid() { number pid; }
as() {
    account=$1; shift
    LDAPTLS_CACERT=$RELEVO_LAB/ca.pem ldapsearch -x -LLL -o ldif-wrap=no -H ldaps://127.0.0.2 -D "$account@contoso.lan" \
        -y "$RELEVO_LAB/$account.password" "$@"
}
run() { "$R" run plans/ad-user-retire/plan.yaml "$@" --go --param drill=true --runs "$FOLDER/runs"; }

# Somebody who is not root, and nothing is made.
expect 8 unshare -U "$R" lab up --directory samba
expect 8 "$R" lab up --directory samba --dir "$RELEVO_LAB/a b"
[ ! -e "$RELEVO_LAB" ] || { echo '!! something was made'; exit 1; }

# Two at once: one of them starts it, and both are content.
"$R" lab up --directory samba >"$FOLDER/other.out" 2>&1 & other=$!
expect 0 "$R" lab up --directory samba
expect 0 wait "$other"
first=$(pid)
expect 0 "$R" lab up
[ "$(pid)" = "$first" ] || { echo '!! it was started twice'; exit 1; }
expect 69 "$R" lab up --directory samba --dir "$FOLDER/other"
[ ! -e "$FOLDER/other" ] || { echo '!! something was made for a second one'; exit 1; }
expect 8 "$R" lab up --directory embedded
expect 8 "$R" lab fault hold-replication dc1
expect 8 "$R" lab fault delay 1s --operation delete
expect 8 "$R" lab snapshot x
# Its hosts misbehave as ever.
expect 0 "$R" lab fault stop-host gc01
expect 0 "$R" lab fault clear
expect 0 "$R" lab info

echo '# deleted objects'
expect 0 as svc-mig -b 'CN=Deleted Objects,DC=contoso,DC=lan' -s base -E '!1.2.840.113556.1.4.417' description
expect 0 as svc-blind -b 'CN=Deleted Objects,DC=contoso,DC=lan' -s base -E '!1.2.840.113556.1.4.417' description
expect 0 as svc-reader -b DC=contoso,DC=lan '(msRTCSIP-PrimaryUserAddress=*)' msRTCSIP-PrimaryHomeServer

echo '# run'
expect 0 run --lab=keep
expect 0 "$R" lab audit --writes
expect 0 "$R" lab audit --writes --format json

echo '# ticket'
KRB5_CONFIG=$RELEVO_LAB/samba/krb5.conf KRB5CCNAME=FILE:$FOLDER/ccache expect 0 kinit svc-reader@CONTOSO.LAN <"$RELEVO_LAB/svc-reader.password"

# Its first process dies; the domain does not.
guid() { as svc-reader -b CN=ocschat,OU=Service,DC=contoso,DC=lan -s base objectGUID; }
before=$(guid)
# The process of the hosts dies; Samba does not.
kill -9 "$(number hosts_pid)"
expect 0 "$R" lab info
expect 0 "$R" lab up
[ "$(pid)" = "$first" ] || { echo '!! Samba was started anew'; exit 1; }
kill -9 "$first"
expect 0 "$R" lab down
expect 0 "$R" lab up
[ "$(guid)" = "$before" ] || { echo '!! another domain'; exit 1; }

expect 0 "$R" lab reset
[ "$(guid)" != "$before" ] || { echo '!! the same domain after a reset'; exit 1; }
echo '# after the reset'
expect 0 "$R" lab audit
echo '# run from a fresh world'
expect 0 run --lab
echo '# the address moves'
expect 0 "$R" run tests/lab_support/move.yaml --lab --go --runs "$FOLDER/runs"
expect 0 as svc-reader -b CN=Configuration,DC=contoso,DC=lan '(msRTCSIP-PrimaryUserAddress=sip:ocschat@contoso.lan)' \
    displayName msRTCSIP-ApplicationDestination
expect 0 "$R" lab audit --writes
last=$(pid); hosts=$(number hosts_pid)
expect 0 "$R" lab down
for one in "$last" "$hosts"; do
    if [ -e "/proc/$one" ] && ! grep -q '^State:.Z' "/proc/$one/status"; then echo "!! $one lives on"; exit 1; fi
done
expect 0 "$R" lab info
echo '# end'
