"""Rules of manifests: who reaches whom, and where. See ``manifest_rules``."""

from __future__ import annotations

from collections.abc import Iterator

from tests.manifests import COMPONENT, Installation, Manifest, Pod, matches, probes_of

#: Ray's agent, which answers probes and is nobody else's business.
AGENT_PORT = 52365
#: Reached from outside; nothing else is.
OPEN = {("panel", 8501), ("ray-head", 8000)}


def selectors_find_pods(found: Installation) -> Iterator[str]:
    for one in found.of("Deployment", "StatefulSet"):
        template = one["spec"]["template"]["metadata"]["labels"]
        if not one["spec"]["selector"]["matchLabels"].items() <= template.items():
            yield f"{one['metadata']['name']} does not select its own pods"
    wanted = [
        *((one, {"matchLabels": one["spec"]["selector"]}) for one in found.of("Service")),
        *((one, one["spec"]["selector"]) for one in found.of("PodDisruptionBudget")),
        *((one, one["spec"]["podSelector"]) for one in found.of("NetworkPolicy")),
        *((one, peer["podSelector"]) for one, peer in _peers(found)),
    ]
    for one, selector in wanted:
        if not found.selected(selector):
            yield f"{one['kind']} {one['metadata']['name']} selects no pod: {selector}"
    for one in found.of("StatefulSet"):
        if one["spec"]["serviceName"] not in found.names("Service"):
            yield f"{one['metadata']['name']} names a service that is not there"


def _peers(found: Installation) -> Iterator[tuple[Manifest, Manifest]]:
    """Policies, with those they let in or out that are pods beside them."""
    for one in found.of("NetworkPolicy"):
        for rule in (*one["spec"].get("ingress", ()), *one["spec"].get("egress", ())):
            for peer in (*rule.get("from", ()), *rule.get("to", ())):
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    yield one, peer


def ports_are_declared(found: Installation) -> Iterator[str]:
    for one in found.of("Service"):
        for pod in found.selected({"matchLabels": one["spec"]["selector"]}):
            for port in one["spec"]["ports"]:
                if not pod.has_port(port["targetPort"]):
                    yield f"Service {one['metadata']['name']} leads to no port of {pod.owner}"
    for pod in found.pods:
        for container in pod.containers:
            for probe in probes_of(container):
                port = probe.get("httpGet", {}).get("port")
                if port not in (None, AGENT_PORT) and not pod.has_port(port):
                    yield f"a probe of {pod.owner} asks an undeclared port: {port}"
    for one in found.of("NetworkPolicy"):
        inside = found.selected(one["spec"]["podSelector"])
        for rule in one["spec"].get("ingress", ()):
            yield from _undeclared(one, rule, inside)
        for rule in one["spec"].get("egress", ()):
            for peer in rule["to"]:
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    yield from _undeclared(one, rule, found.selected(peer["podSelector"]))


def _undeclared(policy: Manifest, rule: Manifest, pods: list[Pod]) -> Iterator[str]:
    for port in rule.get("ports", ()):
        if not any(pod.has_port(port["port"]) for pod in pods):
            yield f"NetworkPolicy {policy['metadata']['name']} names an undeclared port: {port}"


def ingresses_lead_to_services(found: Installation) -> Iterator[str]:
    services = {one["metadata"]["name"]: one["spec"]["ports"] for one in found.of("Service")}
    for name in found.names("RayService"):  # KubeRay makes it
        services[f"{name}-serve-svc"] = [{"name": "serve", "port": 8000}]
    for one in found.of("Ingress"):
        secured = {host for tls in one["spec"]["tls"] for host in tls["hosts"]}
        for rule in one["spec"]["rules"]:
            if rule["host"] not in secured:
                yield f"{rule['host']} has no TLS"
            for path in rule["http"]["paths"]:
                to = path["backend"]["service"]
                ports = services.get(to["name"], ())
                if not any(
                    to["port"].items() <= port.items() | {("number", port["port"])}
                    for port in ports
                ):
                    yield f"{path['path']} of {rule['host']} leads to no service: {to}"


def only_panel_and_models_are_open(found: Installation) -> Iterator[str]:
    policies = [one["spec"] for one in found.of("NetworkPolicy")]
    for pod in found.pods:
        here = [one for one in policies if found_by(one, pod)]
        shut = {
            way
            for one in here
            if not one.get("ingress") and not one.get("egress")
            for way in one["policyTypes"]
        }
        if shut != {"Ingress", "Egress"}:
            yield f"{pod.owner} is open where no policy says otherwise"
        for one in here:
            for rule in one.get("ingress", ()):
                everybody = not rule.get("from") or any("ipBlock" in peer for peer in rule["from"])
                reached = [port["port"] for port in rule.get("ports", [{"port": "every port"}])]
                for port in reached if everybody else ():
                    if (pod.labels[COMPONENT], port) not in OPEN:
                        yield f"{pod.owner} is open to everybody at {port}"


def found_by(policy: Manifest, pod: Pod) -> bool:
    """Whether a policy holds for a pod."""
    return matches(policy["podSelector"], pod.labels)
