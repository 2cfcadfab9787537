from daemon.card import write_section

HEADING = "## Tables"


def test_a_section_takes_the_place_of_the_one_before_and_the_rest_stays(tmp_path):
    path = tmp_path / "CARD.md"
    path.write_text(f"# cell\n\nA word.\n\n{HEADING}\n\nold\n\n## Network\n\nstays\n")
    write_section(path, "cell", f"{HEADING}\n\nnew")
    assert path.read_text() == f"# cell\n\nA word.\n\n{HEADING}\n\nnew\n\n## Network\n\nstays\n"


def test_a_card_is_begun_where_there_is_none(tmp_path):
    path = tmp_path / "CARD.md"
    write_section(path, "cell", f"{HEADING}\n\nnew")
    write_section(path, "cell", f"{HEADING}\n\nnewer")
    assert path.read_text() == f"# cell\n\n{HEADING}\n\nnewer\n"
