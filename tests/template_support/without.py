"""Prints templates/shepard.yml as JSON without resources of some types. Usage: without.py TEMPLATE TYPE...

What referred to such a resource gets a text in its place, so that the rest is made as it would be. A name of the shape of what
it stands for: an ARN where a service's rule about ARNs would refuse another.
"""

import json
import sys

from cfnlint.decode import cfn_yaml

INSTEAD = {
    "AWS::Batch::ComputeEnvironment": "arn:aws:batch:us-east-1:123456789012:compute-environment/taken-out",
    "AWS::Batch::JobDefinition": "arn:aws:batch:us-east-1:123456789012:job-definition/taken-out:1",
    "AWS::Batch::JobQueue": "arn:aws:batch:us-east-1:123456789012:job-queue/taken-out",
}


def main(path, types):
    template = cfn_yaml.load(path)
    resources = template["Resources"]
    gone = {name: one["Type"] for name, one in resources.items() if one["Type"] in types}

    def instead(name):
        return INSTEAD.get(gone[name], f"taken-out-{name}")

    def reduced(node):
        if isinstance(node, dict):
            if set(node) == {"Ref"} and node["Ref"] in gone:
                return instead(node["Ref"])
            if set(node) == {"Fn::GetAtt"}:
                name = node["Fn::GetAtt"]
                name = name[0] if isinstance(name, list) else name.split(".")[0]
                if name in gone:
                    return instead(name)
            if set(node) == {"Fn::Sub"} and isinstance(node["Fn::Sub"], str):
                text = node["Fn::Sub"]
                for name in gone:
                    while (at := text.find("${" + name)) >= 0:
                        text = text[:at] + instead(name) + text[text.index("}", at) + 1 :]
                return {"Fn::Sub": text}
            return {key: reduced(value) for key, value in node.items()}
        if isinstance(node, list):
            return [reduced(one) for one in node]
        return node

    rest = {}
    for name, one in resources.items():
        if name in gone:
            continue
        one = reduced(one)
        if "DependsOn" in one:
            needed = one["DependsOn"] if isinstance(one["DependsOn"], list) else [one["DependsOn"]]
            one["DependsOn"] = [name for name in needed if name not in gone]
        rest[name] = one
    # A route through what is not there leads nowhere.
    rest = {name: one for name, one in rest.items() if "NatGatewayId" not in one.get("Properties", {}) or "AWS::EC2::NatGateway" not in types}
    json.dump({**template, "Resources": rest, "Outputs": reduced(template["Outputs"])}, sys.stdout, default=str)


main(sys.argv[1], set(sys.argv[2:]))
