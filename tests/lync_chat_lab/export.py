"""Reads an export of chat data with what Python brings along, and says what is in it."""

import json
import sys
import xml.etree.ElementTree as tree
import zipfile


def records(archive, name, tag):
    with archive.open(name) as part:
        for _, element in tree.iterparse(part):
            if element.tag == tag:
                yield element
                element.clear()


with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    root = tree.fromstring(archive.read("ChatRooms.xml"))
    assert root.tag == "Pool" and root[0].tag == "ChatRooms"
    rooms = {room.get("id"): room for room in root[0]}
    users = tree.fromstring(archive.read("AdUsers.xml")).findall("AdUsers/User")
    groups = tree.fromstring(archive.read("AdGroups.xml")).findall("AdGroups/Group")
    known = {user.findtext("principalId") for user in users} | {group.get("principalId") for group in groups}
    roles = tree.fromstring(archive.read("ChatRooms.xml")).findall("ChatRooms/ChatRoom/Roles/Principal")
    assert all(role.get("id") in known and role.get("isMember") in "01" for role in roles)
    belong = tree.fromstring(archive.read("AdAffiliations.xml")).findall("AdAffiliations/User/Groups/Group")
    assert belong and all(group.get("id") in known for group in belong)
    categories = tree.fromstring(archive.read("ChatCategories.xml")).findall("ChatCategories/ChatCategory")
    ids = {category.get("id") for category in categories}
    assert all(category.get("parentId") in ids | {None} for category in categories)
    assert all(room.get("categoryId") in ids for room in rooms.values())
    messages = links = orphans = 0
    special = ""
    for message in records(archive, "Messages.xml", "Message"):
        messages += 1
        content = message.findtext("Content")
        links += content.startswith("ma-filelink:")
        orphans += message.get("roomId") not in rooms or message.get("author") not in known
        if "second line" in content:
            special = content
    print(
        json.dumps(
            {
                "parts": sorted(archive.namelist()),
                "counts": {
                    "rooms": len(rooms),
                    "disabled": sum(room.get("isDisabled") == "1" for room in rooms.values()),
                    "categories": len(categories),
                    "messages": messages,
                    "users": len(users),
                    "groups": len(groups),
                },
                "roles": len(roles),
                "links": links,
                "orphans": orphans,
                "names": [room.findtext("Name") for room in list(root[0])[:3]],
                "special": special,
            }
        )
    )
