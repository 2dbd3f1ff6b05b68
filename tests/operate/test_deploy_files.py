"""What stands in deploy/ fits the program: metrics and settings exist, manifests are accepted by their readers, alerts have answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.measures import CATALOG
from app.resources.read import Source, parsed
from app.settings.read import Settings, SettingsError, load
from bench.servers import free_port
from tests.actors import http
from tests.conftest import ROOT, House
from tests.operate.replicas import HAPROXY, balanced

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed (make lock; make test)")
DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "gatehouse-alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "gatehouse.json"
PROMETHEUS_OWN = {"up", "le", "instance", "job"}
SYSTEMD = shutil.which("systemd-analyze")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def queries() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    return shown + [rule["expr"] for rule in rules()]


def names() -> set[str]:
    """As they are exposed."""
    plain = {name for name, metric in CATALOG.items() if metric.kind != "histogram"}
    return plain | {f"{name}_{part}" for name in set(CATALOG) - plain for part in ("bucket", "sum", "count")}


@pytest.mark.parametrize("query", queries())
def test_every_metric_and_label_that_is_asked_for_exists(query: str) -> None:
    asked = set(re.findall(r"gatehouse_\w+", query.replace('"gatehouse"', "")))
    assert asked <= names()
    metrics = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    known = {label for name in asked | metrics if name in CATALOG for label in CATALOG[name].labels} | PROMETHEUS_OWN
    selected = set(re.findall(r"[{,]\s*(\w+)\s*(?:=|!)", query))
    grouped = {word.strip() for words in re.findall(r"by \(([^)]*)\)", query) for word in words.split(",")}
    assert selected | grouped <= known


@pytest.mark.parametrize("query", queries())
def test_prometheus_understands_every_query(query: str) -> None:
    parser = pytest.importorskip("promql_parser", reason="promql-parser is not installed (make lock; make test)")
    parser.parse(query.replace("$__rate_interval", "1m"))


def test_every_metric_is_shown() -> None:
    shown = " ".join(queries())
    assert [name for name in CATALOG if name not in shown] == []


def test_every_alert_has_an_answer() -> None:
    """In docs/operate.md, under its own name; and nothing is answered that no alert asks."""
    page = (ROOT / "docs" / "operate.md").read_text()
    named = {rule["alert"] for rule in rules()}
    assert len(named) == len(rules())
    assert set(re.findall(r"^\| `(Gatehouse\w+)`", page, re.MULTILINE)) == named
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in rules())


@pytest.mark.parametrize("path", [path for path in DEPLOY.rglob("*") if path.is_file()], ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    settings = {f"GATEHOUSE_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"GATEHOUSE_[A-Z_]+", path.read_text())) <= settings


def test_kubernetes_accepts_the_manifests() -> None:
    validator = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed (make lock; make test)"
    )
    manifests = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "gatehouse.yaml").read_text()))
    assert {one["kind"] for one in manifests} >= {"Deployment", "Job", "Service", "PodDisruptionBudget", "Ingress"}
    for manifest in manifests:
        validator.validate(manifest, "1.30", strict=True)
    manifests[-1]["spec"]["nonsense"] = True
    with pytest.raises(validator.ValidationError):
        validator.validate(manifests[-1], "1.30", strict=True)


def test_the_placeholders_of_kubernetes_are_refused() -> None:
    """Whoever applies the file as it is gets no server with a secret that everybody knows."""
    given = {
        name.removeprefix("GATEHOUSE_").lower(): value
        for manifest in yaml.safe_load_all((DEPLOY / "kubernetes" / "gatehouse.yaml").read_text())
        if manifest["kind"] in ("ConfigMap", "Secret")
        for name, value in (manifest.get("data") or manifest["stringData"]).items()
        if name.startswith("GATEHOUSE_")
    }
    with pytest.raises(SettingsError) as refused:
        load(**given)
    assert [line.split()[0] for line in str(refused.value).splitlines()] == [
        "GATEHOUSE_METRICS_TOKEN",
        "GATEHOUSE_SECRET_KEY",
    ]
    made = load(**given | {"secret_key": "k" * 44, "metrics_token": "m" * 44})
    assert made.data_dir == Path("/etc/gatehouse")


def test_kubernetes_brings_a_file_of_resources() -> None:
    (files,) = [
        one
        for one in yaml.safe_load_all((DEPLOY / "kubernetes" / "gatehouse.yaml").read_text())
        if one["metadata"]["name"] == "gatehouse-files"
    ]
    source = Source(Path("/etc/gatehouse/gatehouse.toml"), {})
    served = parsed(files["data"]["gatehouse.toml"], source, "https://mcp.example.com")
    assert served.default.audience == "https://mcp.example.com/mcp"


def test_kubernetes_waits_longer_than_a_stop_takes() -> None:
    from app.settings.operation import STOP_SECONDS

    (deployment,) = [
        one
        for one in yaml.safe_load_all((DEPLOY / "kubernetes" / "gatehouse.yaml").read_text())
        if one["kind"] == "Deployment"
    ]
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > STOP_SECONDS
    assert f"TimeoutStopSec={STOP_SECONDS + 5}" in (DEPLOY / "gatehouse.service").read_text()


@pytest.mark.skipif(HAPROXY is None, reason="HAProxy is not installed (apt-get install haproxy)")
def test_haproxy_accepts_its_configuration() -> None:
    addresses = {"ONE": "127.0.0.1:1", "TWO": "127.0.0.1:2"}
    command = [str(HAPROXY), "-c", "-f", str(DEPLOY / "haproxy.cfg")]
    checked = subprocess.run(command, env=os.environ | addresses, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "WARNING" not in checked.stderr


@pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "gatehouse.service"
    program = shutil.which("true") or sys.executable
    unit.write_text((DEPLOY / "gatehouse.service").read_text().replace("/opt/gatehouse/bin/gatehouse", program))
    checked = subprocess.run([str(SYSTEMD), "verify", str(unit)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "gatehouse.service" not in checked.stderr, checked.stderr


def test_the_compose_file_fits_haproxy() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yml").read_text())
    services = compose["services"]
    servers = re.findall(r"presetenv (?:ONE|TWO) (\S+):8000", (DEPLOY / "haproxy.cfg").read_text())
    assert servers == ["gatehouse-1", "gatehouse-2"]
    for name in servers:
        service = services[name]
        assert service["stop_grace_period"] == "30s"
        assert service["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
        assert set(service["depends_on"]) <= set(services)
        subnet = compose["networks"]["inside"]["ipam"]["config"][0]["subnet"]
        assert service["environment"]["GATEHOUSE_TRUSTED_PROXIES"] == subnet


@pytest.mark.parametrize("path", [DEPLOY / "compose.yml", ROOT / "docker-compose.yml"], ids=lambda path: path.name)
def test_the_compose_files_hand_on_what_env_offers(path: Path) -> None:
    """And bring the folder in which gatehouse.toml is looked for."""
    asked = set(re.findall(r"\$\{(\w+)", path.read_text()))
    offered = set(re.findall(r"^#? ?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    of_its_own = {"GATEHOUSE_TRUSTED_PROXIES"} if path.parent == DEPLOY else set()
    assert asked - {"GATEHOUSE_PORT"} == offered - of_its_own
    for name, service in yaml.safe_load(path.read_text())["services"].items():
        if name.startswith("gatehouse"):
            (folder,) = service["volumes"]
            host, place, _ = folder.split(":")
            assert (path.parent / host).resolve() == ROOT / "gatehouse"
            assert service["environment"]["GATEHOUSE_DATA_DIR"] == place


@pytest.mark.skipif(HAPROXY is None, reason="HAProxy is not installed (apt-get install haproxy)")
def test_haproxy_shows_no_numbers_however_they_are_asked_for(house: House) -> None:
    port, own = free_port(), int(house.url.rsplit(":", 1)[1])
    with balanced(port, own, free_port()):
        for path in ("/metrics", "/%6detrics", "/metric%73?x"):
            answer = http().get(f"http://localhost:{port}{path}", headers={"Host": f"localhost:{own}"})
            assert (answer.status_code, "x-request-id" in answer.headers) == (404, False), "Gatehouse was not asked"
