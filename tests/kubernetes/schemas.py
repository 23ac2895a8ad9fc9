#!/usr/bin/env python3
"""Makes JSON schemas for kubeconform from what Kubernetes, the Prometheus
operator and LeaderWorkerSet publish: strict ones, that refuse a key they do not
know.

    schemas.py openapi SWAGGER_JSON FOLDER   of every kind of an API server
    schemas.py crds FOLDER_OF_CRDS FOLDER    of custom resources (needs helm,
                                             which turns their YAML into JSON)

A schema is named KIND-GROUP-VERSION.json in lower case, where kubeconform
looks with -schema-location 'FOLDER/{{.ResourceKind}}{{.KindSuffix}}.json'.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

REFERENCE = "#/definitions/"
# What the published types are in JSON, beyond what they say they are.
ALSO = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString":
        {"type": ["string", "integer"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity":
        {"type": ["string", "number"]},
}


def strict(schema):
    """The schema, with unknown keys refused wherever keys are listed."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: strict(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        out["type"] = ["string", "integer"]
    # Of "properties" as the name of a property the value has no "type".
    if (isinstance(schema.get("properties"), dict)
            and not schema.get("x-kubernetes-preserve-unknown-fields")):
        out.setdefault("additionalProperties", False)
    return out


def references(schema):
    if isinstance(schema, list):
        for item in schema:
            yield from references(item)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value.removeprefix(REFERENCE)
            else:
                yield from references(value)


def closure(name, definitions):
    """The definitions that one needs, directly or not."""
    needed, queue = set(), [name]
    while queue:
        for other in references(definitions[queue.pop()]):
            if other not in needed:
                needed.add(other)
                queue.append(other)
    return {other: definitions[other] for other in sorted(needed)}


def file_name(group, version, kind):
    parts = [kind, group.split(".")[0], version] if group else [kind, version]
    return "-".join(parts).lower() + ".json"


def of_kind(schema, group, version, kind):
    """The schema, of objects that say that they are of this kind."""
    properties = dict(schema.get("properties", {}))
    properties["kind"] = {"enum": [kind]}
    properties["apiVersion"] = {
        "enum": [f"{group}/{version}" if group else version]}
    return {**schema, "properties": properties,
            "required": [*schema.get("required", []), "kind", "apiVersion"]}


def openapi(swagger, folder):
    definitions = json.loads(pathlib.Path(swagger).read_text())["definitions"]
    definitions.update(ALSO)
    definitions = {name: strict(one) for name, one in definitions.items()}
    for name, schema in definitions.items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            words = (kind["group"], kind["version"], kind["kind"])
            out = of_kind(schema, *words)
            out["definitions"] = closure(name, definitions)
            (folder / file_name(*words)).write_text(json.dumps(out))


def as_json(files):
    """YAML files as values, read by helm: Python has no YAML of its own."""
    with tempfile.TemporaryDirectory() as chart:
        chart = pathlib.Path(chart)
        (chart / "Chart.yaml").write_text(
            "{apiVersion: v2, name: convert, version: 0.0.0}")
        (chart / "files").mkdir()
        (chart / "templates").mkdir()
        for file in files:
            (chart / "files" / file.name).write_bytes(file.read_bytes())
        (chart / "templates/all.yaml").write_text(
            'all: {{ $all := list }}{{ range $path, $_ := .Files.Glob '
            '"files/*" }}{{ $all = append $all ($.Files.Get $path | fromYaml) '
            "}}{{ end }}{{ toJson $all }}")
        text = subprocess.run(["helm", "template", chart], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
    return json.loads(text[text.index("all: ") + len("all: "):])


def crds(source, folder):
    kinds = ("servicemonitors", "podmonitors", "prometheusrules",
             "leaderworkersets")
    for crd in as_json(file for file in sorted(pathlib.Path(source).iterdir())
                       if file.name.endswith(
                           tuple(f"_{kind}.yaml" for kind in kinds))):
        spec = crd["spec"]
        for version in spec["versions"]:
            words = (spec["group"], version["name"], spec["names"]["kind"])
            schema = version["schema"]["openAPIV3Schema"]
            # Metadata is an object like any other's: not described here.
            schema["properties"]["metadata"] = {}
            out = of_kind(strict(schema), *words)
            (folder / file_name(*words)).write_text(json.dumps(out))


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("openapi", "crds"):
        sys.exit(__doc__)
    make = openapi if sys.argv[1] == "openapi" else crds
    make(sys.argv[2], pathlib.Path(sys.argv[3]))


if __name__ == "__main__":
    main()
