"""The command line as a person meets it."""

import json
from pathlib import Path

import psycopg

from groundwork.store.embedded import EmbeddedServer
from plugins.installation import write
from plugins.service import command, command_json

TEXT = "# Heron pump\n\nThe Heron pump moves forty litres a minute. It must be primed before first use.\n"


def test_from_a_folder_to_a_cited_answer(data_dir: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", {"pump.md": TEXT, "bad.pdf": "%PDF-1.4 broken"})

    ingested = command(data_dir, "ingest", str(folder))
    assert ingested.returncode == 0
    assert "1 added" in ingested.stdout
    assert "failed: file://" in ingested.stdout
    assert f"Data directory: {data_dir}" in ingested.stderr

    asked = command(data_dir, "ask", "How many litres does the pump move?")
    assert "The Heron pump moves forty litres a minute. [1]" in asked.stdout
    assert "checked against the stored text" in asked.stdout
    assert "pump.md" in asked.stdout

    body = command_json(data_dir, "ask", "How many litres does the pump move?")
    assert body["citations"][0]["quote"] == "The Heron pump moves forty litres a minute."
    assert command_json(data_dir, "search", "litres")["passages"][0]["title"] == "Heron pump"

    listed = command_json(data_dir, "documents", "list")
    assert {item["status"] for item in listed["items"]} == {"ready", "failed"}
    ready = next(item for item in listed["items"] if item["status"] == "ready")
    assert command_json(data_dir, "documents", "show", ready["id"]) == ready
    assert command_json(data_dir, "documents", "text", ready["id"])["text"] == TEXT

    assert command(data_dir, "documents", "delete", ready["id"], typed="n\n").returncode == 1
    assert command_json(data_dir, "documents", "show", ready["id"])["status"] == "ready"
    assert command_json(data_dir, "documents", "delete", ready["id"], "--yes")["id"] == ready["id"]
    assert command(data_dir, "documents", "show", ready["id"]).returncode == 4


def test_mistakes_are_told_with_an_exit_code_of_their_kind(data_dir: Path) -> None:
    missing = command(data_dir, "ingest", "/no/such/folder")
    assert (missing.returncode, "Traceback" in missing.stderr) == (4, False)
    assert "There is no file or folder" in missing.stderr
    assert command(data_dir, "search", "").returncode == 2
    assert command(data_dir, "documents", "show", "nonsense").returncode == 2
    assert command(data_dir, "collections", "show", "nowhere").returncode == 4
    assert command(data_dir, "eval", str(data_dir)).returncode == 2
    wrong = command(data_dir, "settings", HTTP__PORT="ninety")
    assert wrong.returncode == 2
    assert "GROUNDWORK_HTTP__PORT" in wrong.stderr
    unreachable = command(data_dir, "collections", "list", DATABASE_URL="postgresql://127.0.0.1:1/none")
    assert unreachable.returncode == 8
    assert "database" in unreachable.stderr


def test_settings_hide_secrets(data_dir: Path) -> None:
    canary = "canary-7f3a"
    for arguments in (["settings"], ["settings", "--json"]):
        shown = command(
            data_dir, *arguments, EMBEDDER__API_KEY=canary, DATABASE_URL=f"postgresql://u:{canary}@127.0.0.1/x"
        )
        assert shown.returncode == 0
        assert canary not in shown.stdout + shown.stderr


def test_vectors_of_different_models_are_never_compared(data_dir: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", {"pump.md": TEXT})
    assert command(data_dir, "ingest", str(folder)).returncode == 0
    found = command_json(data_dir, "search", "pump", "--mode", "dense")
    other = command(data_dir, "search", "pump", "--mode", "dense", "--json", EMBEDDER__KIND="openvino")
    assert json.loads(other.stdout)["passages"] == found["passages"]
    assert "the live space hashing is used" in other.stderr
    assert "groundwork spaces create" in other.stderr
    assert command_json(data_dir, "spaces", "list", EMBEDDER__KIND="openvino")["items"][0]["kind"] == "hashing"


def test_eval_reports_the_standard_measures_and_leaves_nothing_behind(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "set" / "qrels").mkdir(parents=True)
    documents = [
        {"_id": f"d{n}", "title": f"Topic {n}", "text": f"All about subject{n} and only that."} for n in range(8)
    ]
    queries = [
        {"_id": f"q{n}", "text": f"what about subject{n}", "metadata": {"answers": [{"text": f"subject{n}"}]}}
        for n in range(4)
    ]
    (tmp_path / "set" / "corpus.jsonl").write_text("\n".join(json.dumps(each) for each in documents))
    (tmp_path / "set" / "queries.jsonl").write_text("\n".join(json.dumps(each) for each in queries))
    (tmp_path / "set" / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"q{n}\td{n}\t1\n" for n in range(4))
    )
    for mode in ("hybrid", "lexical", "dense"):
        report = command_json(data_dir, "eval", str(tmp_path / "set"), "--mode", mode)
        assert (report["documents"], report["queries"], report["mode"]) == (8, 4, mode)
        assert report["ndcg@10"] == report["recall@10"] == report["mrr@10"] == 1.0
        assert report["answer_hit@1"] == 1.0
        assert report["search_p50_ms"] > 0
    again = command_json(data_dir, "eval", str(tmp_path / "set"))
    assert again["compared_to"] is not None
    assert again["change"]["ndcg@10"] == 0
    assert again["reranker"] is None
    refused = command(data_dir, "eval", str(tmp_path / "set"), "--rerank")
    assert refused.returncode == 2
    assert "GROUNDWORK_RERANKER__KIND" in refused.stderr
    assert command_json(data_dir, "collections", "list")["items"] == []
    assert command_json(data_dir, "documents", "list")["items"] == []


def test_a_title_with_brackets_is_shown_as_it_is(data_dir: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", {"rates.md": "# Rates [/red] of [bold]x\n\nThe rates are low.\n"})
    assert command(data_dir, "ingest", str(folder)).returncode == 0
    listed = command(data_dir, "documents", "list")
    assert listed.returncode == 0
    assert "Rates [/red] of [bold]x" in listed.stdout


def test_a_first_use_says_nothing_about_indexes(data_dir: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "docs", {"pump.md": TEXT})
    ingested = command(data_dir, "ingest", str(folder))
    assert ingested.stderr == f"Data directory: {data_dir}\n"


def test_a_collection_moves_to_another_installation_as_one_file(data_dir: Path, tmp_path: Path) -> None:
    command(data_dir, "ingest", str(write(tmp_path / "docs", {"pump.md": TEXT})), "-c", "pumps")
    [document] = command_json(data_dir, "documents", "list", "-c", "pumps")["items"]
    tagged = command_json(data_dir, "documents", "tag", document["id"], "--add", "brass", "--meta", "owner=yard")
    assert (tagged["tags"], tagged["metadata"]) == (["brass"], {"owner": "yard"})
    assert "owner = yard" in command(data_dir, "documents", "tag", document["id"]).stdout
    assert "live         sha256:" in command(data_dir, "documents", "show", document["id"]).stdout
    assert len(command_json(data_dir, "search", "pump", "--tag", "brass", "--since", "2020-01-01")["passages"]) == 1
    assert command_json(data_dir, "search", "pump", "--tag", "steel")["passages"] == []

    file = tmp_path / "pumps.zip"
    written = command_json(data_dir, "documents", "export", "pumps", str(file))
    assert (written["documents"], written["bytes"]) == (1, file.stat().st_size)
    assert command(data_dir, "documents", "export", "pumps", str(file)).returncode == 5
    assert command(data_dir, "documents", "delete", document["id"], "--yes").stdout.endswith("0 lexical\n")

    taken = command_json(data_dir, "documents", "import", str(file), "-c", "moved")
    assert (taken["collection"], taken["added"], taken["embedded"]) == ("moved", 1, 0)
    assert command_json(data_dir, "search", "pump", "--tag", "brass")["passages"][0]["collection"] == "moved"
    file.write_bytes(file.read_bytes()[:-300])
    cut_off = command(data_dir, "documents", "import", str(file))
    assert (cut_off.returncode, "export it anew" in cut_off.stderr) == (2, True)


def test_a_check_ends_with_an_exit_code_that_says_whether_all_is_whole(data_dir: Path, tmp_path: Path) -> None:
    command(data_dir, "ingest", str(write(tmp_path / "docs", {"pump.md": TEXT})))
    whole = command(data_dir, "check")
    assert (whole.returncode, "found nothing" in whole.stdout) == (0, True)
    with EmbeddedServer(data_dir) as server, psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("UPDATE chunks SET text = 'forged'")
    broken = command(data_dir, "check")
    assert broken.returncode == 9
    assert "BROKEN    A passage is, to the character, the text at its span." in broken.stdout
    assert "groundwork check --repair" in broken.stdout
    mended = command(data_dir, "check", "--repair", "--json")
    assert (mended.returncode, json.loads(mended.stdout)["ok"]) == (0, True)
    assert (data_dir / "metrics" / "check.prom").exists()
