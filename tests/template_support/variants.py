"""Renders templates/shepard.yml for every combination of its toggles and looks at what comes out.

Standard output gets one JSON object: how many were rendered, linted and read, and the problems. Usage: variants.py TEMPLATE [--user-data | --few]

 * Every combination of what decides whether a resource is there is rendered: conditions are worked out, the other branch of each
   Fn::If is thrown away, and no name may be left that leads to nothing.
 * cfn-lint sees a covering design of all toggles: any two values of any two of them occur together in a variant.
 * The user data of every combination that it depends on is read as MIME, its parts as YAML and by shellcheck.
"""

import email
import itertools
import json
import subprocess
import sys

import yaml
from cfnlint.api import ManualArgs, lint
from cfnlint.decode import cfn_yaml

# Decide whether a resource is there.
EXISTENCE = {
    "ToggleEFS": ["True", "False"],
    "ToggleLustre": ["True", "False"],
    "ToggleUseExistingBucketForLustre": ["True", "False"],
    "LustreBucketLink": ["path", "association"],
    "NatGateways": ["0", "1", "2"],
    "ToggleInterfaceEndpoints": ["True", "False"],
    "ToggleOldWorkerImages": ["True", "False"],
    "ComputeEnvironmentType": ["Ec2", "SPOT"],
    "ToggleAllocationStrategy": ["True", "False"],
    "AlarmEmail": ["", "somebody@example.org"],
}
# Decide what a resource is like.
SHAPE = {
    "ToggleVariableEBSVolumeSizes": ["True", "False"],
    "ToggleJobsDisk": ["True", "False"],
    "ToggleAllowAccessToDockerDaemon": ["True", "False"],
    "MakeSubnetsPublic": ["True", "False"],
    "AllowSSHAccessToCIDRToAllowSSHAccessTo": ["True", "False"],
    "ToggleIncludeExtraIAMPolicyForContainerRole": ["True", "False"],
    "ToggleArrayJobs": ["True", "False"],
    "TogglePrivilegedPayload": ["True", "False"],
    "TogglePayloadHostNetwork": ["True", "False"],
    "ToggleInitialSecret": ["True", "False"],
    "ToggleEmptyRepositoryOnDelete": ["True", "False"],
    "ToggleKeyPair": ["True", "False"],
    "ToggleSessionManager": ["True", "False"],
    "EFSMode": ["provisioned", "elastic"],
    "LustreVersion": ["unset", "2.12", "2.15"],
    "TimeToLiveAttribute": ["END_TIME", "none", "SHEPARD_EXPIRES"],
    "DefaultCapacity": ["0", "4"],
    "JobTimeoutSeconds": ["0", "3600"],
    "PayloadDevices": ["", "/dev/fuse"],
    "PayloadSharedMemoryMiB": ["0", "1024"],
    "ErrorsBucket": ["", "somebodys-errors"],
    "DaysToKeepOldVersions": ["0", "30"],
    "DaysToKeepErrors": ["0", "90"],
    "DaysToKeepUntaggedImages": ["0", "30"],
}
TOGGLES = {**EXISTENCE, **SHAPE}
USER_DATA = ["ToggleEFS", "ToggleLustre", "ToggleJobsDisk"]
# What a value has to be for the others to be possible.
GIVEN = {"ExtraIAMPolicyForContainerRole": "arn:aws:iam::aws:policy/ReadOnlyAccess", "LambdaCodeBucket": "some-code", "LambdaCodeKey": "a.zip"}
PSEUDO = {"AWS::AccountId", "AWS::Region", "AWS::Partition", "AWS::StackId", "AWS::StackName", "AWS::URLSuffix"}
NOTHING = object()


def evaluate(condition, values, conditions):
    (name, of), = condition.items()
    if name == "Condition":
        return evaluate(conditions[of], values, conditions)
    if name == "Fn::Equals":
        one, other = (values[x["Ref"]] if isinstance(x, dict) else str(x) for x in of)
        return one == other
    if name == "Fn::Not":
        return not evaluate(of[0], values, conditions)
    parts = [evaluate(part, values, conditions) for part in of]
    return {"Fn::And": all, "Fn::Or": any}[name](parts)


def resolve(node, truth):
    if isinstance(node, dict):
        if set(node) == {"Fn::If"}:
            name, yes, no = node["Fn::If"]
            return resolve(yes if truth[name] else no, truth)
        if node == {"Ref": "AWS::NoValue"}:
            return NOTHING
        found = {key: resolve(value, truth) for key, value in node.items()}
        return {key: value for key, value in found.items() if value is not NOTHING}
    if isinstance(node, list):
        return [value for value in (resolve(one, truth) for one in node) if value is not NOTHING]
    return node


def variables(text):
    """The names in a text of Fn::Sub."""
    at = 0
    while (at := text.find("${", at)) >= 0:
        end = text.index("}", at)
        if text[at + 2] != "!":
            yield text[at + 2 : end]
        at = end


def named(node):
    """Every name that something leads to."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "Ref":
                yield value
            elif key == "Fn::GetAtt":
                yield value[0] if isinstance(value, list) else value.split(".")[0]
            elif key == "Fn::Sub":
                text, own = value if isinstance(value, list) else (value, {})
                yield from (name.split(".")[0] for name in variables(text) if name not in own)
                yield from named(own)
            elif key == "DependsOn":
                yield from value if isinstance(value, list) else [value]
            else:
                yield from named(value)
    elif isinstance(node, list):
        for one in node:
            yield from named(one)


def render(template, chosen):
    values = {name: str(one["Default"]) for name, one in template["Parameters"].items()} | GIVEN | chosen
    truth = {name: evaluate(one, values, template["Conditions"]) for name, one in template["Conditions"].items()}
    there = {name: one for name, one in template["Resources"].items() if truth.get(one.get("Condition"), True)}
    resources = {}
    for name, one in there.items():
        resources[name] = resolve({key: value for key, value in one.items() if key != "Condition"}, truth)
    outputs = resolve(template["Outputs"], truth)
    used = set(named(resources)) | set(named(outputs))
    parameters = {
        name: {**one, "Default": values[name]} for name, one in template["Parameters"].items() if name in used
    }
    rendered = {"AWSTemplateFormatVersion": "2010-09-09", "Parameters": parameters, "Resources": resources, "Outputs": outputs}
    return rendered, used - set(resources) - set(parameters) - PSEUDO


def covering(toggles):
    """Greedy: variants until any two values of any two toggles have occurred together."""
    names = list(toggles)
    left = {
        ((a, x), (b, y)) for a, b in itertools.combinations(names, 2) for x in toggles[a] for y in toggles[b]
    }
    while left:
        (a, x), (b, y) = min(left)
        chosen = {a: x, b: y}
        for name in names:
            if name in chosen:
                continue
            known = list(chosen.items())

            def gain(value):
                return sum(
                    ((k, v), (name, value)) in left or ((name, value), (k, v)) in left for k, v in known
                )

            chosen[name] = max(toggles[name], key=gain)
        left -= {
            ((p, chosen[p]), (q, chosen[q])) for p, q in itertools.combinations(names, 2)
        }
        yield chosen


def user_data(rendered):
    text, own = rendered["Resources"]["InstanceTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Fn::Sub"]
    made = {"ProjectEFSSystem": "fs-0123456789abcdef0", "ProjectLustreSystem.DNSName": "fs-0.fsx.eu-west-1.amazonaws.com",
            "ProjectLustreSystem.LustreMountName": "abcdefgh"}

    def fill(node):
        text = node["Fn::Sub"] if isinstance(node, dict) else node
        for name in set(variables(text)):
            text = text.replace("${" + name + "}", fill(own[name]) if name in own else made[name])
        return text

    return fill(text)


def read_user_data(text, chosen):
    """Problems of one user data."""
    message = email.message_from_string(text)
    if message.defects or not message.is_multipart() or (message.epilogue or "").strip():
        return [f"no clean MIME: {message.defects} {message.epilogue!r}"]
    problems, kinds = [], []
    for part in message.get_payload():
        kinds.append(part.get_content_type())
        body = part.get_payload()
        if part.get_content_type() == "text/cloud-config":
            config = yaml.safe_load(body)
            wanted = {"amazon-efs-utils": "ToggleEFS", "lustre-client": "ToggleLustre"}
            wanted = {name for name, toggle in wanted.items() if chosen[toggle] == "True"}
            if not body.startswith("#cloud-config\n") or set(config["packages"]) != wanted:
                problems.append(f"cloud-config: {config}")
        else:
            if not body.startswith("#!/bin/bash\n"):
                problems.append(f"a script that begins with {body[:20]!r}")
            checked = subprocess.run(["shellcheck", "-s", "bash", "-f", "gcc", "-"], input=body, capture_output=True, text=True)
            if checked.returncode:
                problems.append(checked.stdout + checked.stderr)
            for toggle, folder in [("ToggleEFS", "/mnt/efs"), ("ToggleLustre", "/mnt/fsx"), ("ToggleJobsDisk", "/mnt/root")]:
                if (f"mounted {folder}" in body) != (chosen[toggle] == "True"):
                    problems.append(f"{toggle} is {chosen[toggle]} and {folder} does not say so")
    if kinds != ["text/cloud-config", "text/x-shellscript"]:
        problems.append(f"parts: {kinds}")
    if len(text.encode()) > 16_384:
        problems.append("longer than EC2 takes")
    return problems


def user_data_of_all(template):
    """How many kinds of user data there are, and their problems."""
    read, problems = 0, []
    for chosen in itertools.product(["True", "False"], repeat=len(USER_DATA)):
        chosen = dict(zip(USER_DATA, chosen))
        variant, _ = render(template, chosen)
        read += 1
        problems += [f"{chosen}: {one}" for one in read_user_data(user_data(variant), chosen)]
    return read, problems


def main(path, how=""):
    template = cfn_yaml.load(path)
    read, problems = user_data_of_all(template)
    if how == "--user-data":
        json.dump({"user_data": read, "problems": problems}, sys.stdout)
        return
    rendered = 0
    for chosen in itertools.product(*EXISTENCE.values()):
        chosen = dict(zip(EXISTENCE, chosen))
        _, dangling = render(template, chosen)
        rendered += 1
        if dangling:
            problems.append(f"{chosen}: {sorted(dangling)} lead to nothing")
    linted = 0
    # A few are enough to see that the linter is awake.
    for chosen in itertools.islice(covering(TOGGLES), 2 if how == "--few" else None):
        variant, dangling = render(template, chosen)
        linted += 1
        found = lint(json.dumps(variant, default=str), config=ManualArgs(regions=["us-east-1"]))
        problems += [f"{chosen}: {one.rule.id} {one.message} at {one.path}" for one in found]
        problems += [f"{chosen}: {sorted(dangling)} lead to nothing"] if dangling else []
    whole = [] if how == "--few" else lint(open(path, encoding="utf-8").read(), config=ManualArgs(regions=["us-east-1", "eu-west-1"]))
    problems += [f"{one.rule.id} {one.message} at {one.path}" for one in whole]
    unknown = set(TOGGLES) - set(template["Parameters"])
    conditions = set(n for c in template["Conditions"].values() for n in named(c))
    problems += [f"{name} is no parameter" for name in sorted(unknown)]
    problems += [f"{name} decides something and is not varied" for name in sorted(conditions - set(TOGGLES))]
    json.dump({"rendered": rendered, "linted": linted, "user_data": read, "problems": problems}, sys.stdout)


main(*sys.argv[1:])
