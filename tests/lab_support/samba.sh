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
pid() { "$R" lab info --format json | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | head -n 1; }
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
expect 8 "$R" lab fault clear
expect 8 "$R" lab snapshot x
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
last=$(pid)
expect 0 "$R" lab down
if [ -e "/proc/$last" ] && ! grep -q '^State:.Z' "/proc/$last/status"; then echo '!! it lives on'; exit 1; fi
expect 0 "$R" lab info
echo '# end'
