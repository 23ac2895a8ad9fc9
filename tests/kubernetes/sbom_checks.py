"""Checks of an image's list of packages, /opt/longspan/sbom.spdx.json: that it
is SPDX 2.3, and that it says what is in the image."""

import json
import re

from report import expect_equal

PLACE = "/opt/longspan/sbom.spdx.json"
MANIFEST = "/opt/longspan/MANIFEST.json"
# What SPDX 2.3 requires of a document, of its creation and of a package.
REQUIRED = {"spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace",
            "creationInfo", "packages", "relationships"}
REQUIRED_OF_CREATION = {"created", "creators"}
REQUIRED_OF_PACKAGE = {"SPDXID", "name", "downloadLocation"}
PURPOSES = {"APPLICATION", "CONTAINER", "LIBRARY", "OPERATING-SYSTEM"}
IDENTIFIER = re.compile(r"SPDXRef-[a-zA-Z0-9.-]+")
PACKAGE_URL = re.compile(r"pkg:(deb/[a-z]+|generic|pypi)/[^@?/]+@[^@?+:]+(\?.+)?")
DPKG = ("dpkg-query", "--show", "--showformat",
        "${db:Status-Status} ${Package} ${Version} ${Architecture}\\n")


def expect_keys(what, is_, required):
    missing = required - is_.keys()
    if missing:
        raise AssertionError(f"{what} lacks {sorted(missing)}")


def check_form(document):
    expect_keys("the document", document, REQUIRED)
    expect_equal("version", document["spdxVersion"], "SPDX-2.3")
    expect_equal("license", document["dataLicense"], "CC0-1.0")
    expect_equal("id", document["SPDXID"], "SPDXRef-DOCUMENT")
    expect_keys("creationInfo", document["creationInfo"], REQUIRED_OF_CREATION)
    for pattern, text in (
            (r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
             document["documentNamespace"]),
            (r"\d{4}(-\d\d){2}T\d\d(:\d\d){2}Z",
             document["creationInfo"]["created"])):
        if not re.fullmatch(pattern, text):
            raise AssertionError(f"'{text}' is not like {pattern}")
    for package in document["packages"]:
        check_form_of_package(package)
    check_relationships(document)


def check_form_of_package(package):
    expect_keys(f"{package}", package, REQUIRED_OF_PACKAGE)
    if not IDENTIFIER.fullmatch(package["SPDXID"]):
        raise AssertionError(f"'{package['SPDXID']}' is no identifier")
    if package["primaryPackagePurpose"] not in PURPOSES:
        raise AssertionError(f"{package}")
    for reference in package.get("externalRefs", ()):
        expect_equal("type", reference["referenceType"], "purl")
        if not PACKAGE_URL.fullmatch(reference["referenceLocator"]):
            raise AssertionError(f"no package URL: {reference}")


def check_relationships(document):
    """The document describes the image, which contains all else."""
    names = [package["SPDXID"] for package in document["packages"]]
    expect_equal("identifiers twice", len(names), len(set(names)))
    found = [(one["spdxElementId"], one["relationshipType"],
              one["relatedSpdxElement"]) for one in document["relationships"]]
    expect_equal("relationships", sorted(found), sorted(
        [("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image"),
         *(("SPDXRef-image", "CONTAINS", name) for name in names
           if name != "SPDXRef-image")]))


def listed(document, prefix):
    """[(name, version)] of the packages with such identifiers."""
    return sorted((package["name"], package["versionInfo"])
                  for package in document["packages"]
                  if package["SPDXID"].startswith(f"SPDXRef-{prefix}"))


def check(image, run, cuda):
    """Of an image in which run(*command) runs a command; `cuda` are the packages
    that only this image has."""
    def text_of(path):
        return run("cat", path).stdout
    document = json.loads(text_of(PLACE))
    manifest = json.loads(text_of(MANIFEST))
    check_form(document)
    expect_equal("name", document["name"], image)
    expect_equal("Longspan", listed(document, "longspan"),
                 [("longspan", manifest["version"])])
    if f"commit {manifest['commit']}" not in text_of(PLACE):
        raise AssertionError(f"no commit {manifest['commit']}")
    rows = [line.split() for line in run(*DPKG).stdout.splitlines()]
    installed = sorted((row[1], row[2]) for row in rows if row[0] == "installed")
    expect_equal("packages of the base", listed(document, "base-"), installed)
    there = set(run("ls", "/opt/longspan/lib").stdout.split())
    expect_equal("bundled libraries", listed(document, "bundled-"), sorted({
        (one["package"], one["version"]) for one in manifest["libraries"]
        if one["name"] in there}))
    expect_equal("CUDA", listed(document, "cuda-"), sorted(cuda))
