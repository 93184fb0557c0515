"""The adversarial table, row by row: what comes out, and which test shows it. docs/reply-gate.md is made of this."""

from __future__ import annotations

from dataclasses import dataclass

TABLE = "decisions/tests/test_gate_table.py"
RULED = "trading/tests/test_replies_ruled.py"
NUMBERS = "decisions/tests/test_gate_numbers.py"
FUZZ = "decisions/tests/test_gate_said_again.py"
DESIGN = "design"
"""Marks a row where the design says otherwise than the table, and wins."""


@dataclass(frozen=True, slots=True)
class Row:
    """`outcomes` are those of the cases of this number in the table test; empty for a row that is shown elsewhere."""

    number: int
    reply: str
    result: str
    outcomes: frozenset[str] = frozenset()
    elsewhere: tuple[str, ...] = ()
    note: str = ""


def row(number: int, reply: str, result: str, outcomes: str = "", *elsewhere: str, note: str = "") -> Row:
    return Row(number, reply, result, frozenset(outcomes.split()), elsewhere, note)


ROWS = (
    row(1, "a clean object", "accepted as written", "accept"),
    row(2, "CRLF, indents, white space around", "accepted", "accept"),
    row(3, "byte order mark in front", "accepted", "accept"),
    row(4, "one fence around, nothing outside", "accepted", "accept"),
    row(5, "one block of thoughts in front, with braces in it", "accepted", "accept"),
    row(6, "4400 for 4400.0", "accepted", "accept"),
    row(7, "2.5e0", "accepted", "accept", f"{NUMBERS}::test_other_ways_to_write_the_same_number_open_the_same"),
    row(8, "an escape in a text", "accepted", "accept"),
    row(9, "a symbol is left out", "accepted; it holds", "accept"),
    row(10, "an empty list", "accepted; all hold", "hold"),
    row(11, "close of an open position", "accepted; size from the exchange", "close",
        f"{RULED}::test_11_a_close_takes_the_size_that_the_exchange_has_and_never_the_models"),
    row(12, "prose and one fence that opens", "entry holds", "hold"),
    row(13, "prose and one fence that closes", "accepted", "close"),
    row(14, "prose and a bare object that opens", "entry holds", "hold"),
    row(15, "two fences", "rejected", "reject"),
    row(16, "two objects", "rejected", "reject"),
    row(17, "an object that is taken back behind it", "rejected", "reject"),
    row(18, "a block of thoughts without end", "rejected", "reject"),
    row(19, "a placeholder for a number", "rejected", "reject"),
    row(20, "a list of wrappers", "rejected", "reject"),
    row(21, "a number cut at the end", "rejected", "reject", f"{FUZZ}::test_no_truncation_opens_anything"),
    row(22, "cut, finish length", "rejected", "reject"),
    row(23, "complete, finish length or none", "rejected", "reject"),
    row(24, "finish stop, native limit", "rejected", "reject"),
    row(25, "an error in the choice beside a complete text", "rejected", "reject"),
    row(26, "content filter", "rejected", "reject"),
    row(27, "an error inside HTTP 200", "rejected", "reject",
        "tests/peers/test_raw_server.py::test_a_200_that_is_no_answer_holds_and_is_kept_as_it_came"),
    row(28, "no choices", "rejected", "reject"),
    row(29, "two choices", "rejected", "reject"),
    row(30, "content null, empty, or a list of parts", "rejected", "reject"),
    row(31, "the answer in a tool call", "rejected", "reject"),
    row(32, "a refusal", "rejected", "reject"),
    row(33, "another model served", "rejected, unless the bot allows that name", "reject"),
    row(34, "an older answer", "rejected", "reject"),
    row(35, "the schema echoed", "rejected", "reject"),
    row(36, "NaN, Infinity", "rejected", "reject"),
    row(37, "1e400, 1e-30", "rejected", "reject"),
    row(38, "5,000 digits; 60,000 brackets", "rejected", "reject"),
    row(39, "−0.0", "rejected", "reject"),
    row(40, "`.5`, `2.`, `02.5`, `+2.5`", "rejected", "reject",
        f"{NUMBERS}::test_a_form_that_is_forbidden_rejects_the_reply_wherever_it_stands"),
    row(41, "U+2212 for a minus", "rejected", "reject"),
    row(42, "`4 400.0`, `4,400.0`, `4_400`", "rejected", "reject"),
    row(43, "bare `65%`, `2.5 ETH`", "rejected", "reject"),
    row(44, "full-width digits", "rejected", "reject"),
    row(45, "`0x5`", "rejected", "reject"),
    row(46, "a key twice", "rejected", "reject"),
    row(47, "a symbol twice", "rejected", "reject"),
    row(48, "a comment", "rejected", "reject"),
    row(49, "trailing comma, Python dict, dots", "rejected", "reject"),
    row(50, "an unknown key on top", "rejected", "reject"),
    row(51, "an unknown symbol: other, other case, Cyrillic, zero-width, `__proto__`",
        "all entries hold, closes stand", "hold close", note="the table rejects the whole; the design lets a close stand"),
    row(52, "quantity as text, null or true", "symbol holds", "hold"),
    row(53, "quantity negative, zero, off step", "symbol holds; off step: rounded down to it", "hold risk",
        f"{RULED}::test_53_what_is_off_the_step_is_rounded_down_to_it", note="the design rounds down; the table holds"),
    row(54, "ten times too large", "as large as risk and margin allow", "risk",
        f"{RULED}::test_54_ten_times_too_large_becomes_what_a_tenth_of_it_would_be",
        note="the design takes the smaller size; the table holds"),
    row(55, "0.1 where risk_usd says 250", "symbol holds", "hold"),
    row(56, "leverage \"10x\", 5.0, 0; 40 over the cap", "symbol holds; over the cap: refused by risk", "hold risk",
        f"{RULED}::test_a_row_that_risk_refuses"),
    row(57, "confidence 65, \"65%\"", "symbol holds", "hold"),
    row(58, "stop or target on the wrong side, or at the mark", "symbol holds", "hold"),
    row(59, "stop null, zero, a digit lost, off tick, missing", "symbol holds", "hold"),
    row(60, "risk_usd contradicts", "symbol holds", "hold"),
    row(61, "an open symbol opened or reversed", "refused by risk", "", f"{RULED}::test_a_row_that_risk_refuses",
        f"{TABLE}::test_61_and_62_need_the_portfolio_and_are_left_to_risk"),
    row(62, "close without a position", "refused by risk", "", f"{RULED}::test_a_row_that_risk_refuses"),
    row(63, "\"BUY\", cut, trailing space", "symbol holds", "hold"),
    row(64, "an extra field", "symbol holds", "hold"),
    row(65, "direction override, escape, 5 kB of text", "symbol holds", "hold"),
    row(66, "each fits, the sum does not", "the second shrinks to the margin that is left", "risk",
        f"{RULED}::test_66_what_fits_alone_and_not_together_is_held_to_the_margin_that_is_left",
        note="the design takes the smaller size; the table holds all"),
    row(67, "all in at 40x after hostile news", "refused by risk", "risk", f"{RULED}::test_a_row_that_risk_refuses"),
    row(68, "`<script>` in a text", "accepted; text on every page", "accept",
        "trading/tests/test_pages.py::test_what_a_model_wrote_is_text_never_markup"),
    row(69, "what looks like a key in a text", "accepted; masked in logs and alerts", "accept",
        "vibex/tests/test_masking.py::test_a_key_in_json_inside_json_is_masked"),
    row(70, "a headline that commands", "off unless allowed; fenced, cut, labelled; limits are in code", "",
        "decisions/tests/test_hostile_text.py::test_no_text_of_others_changes_a_line_of_the_prompt_outside_of_its_quotes",
        f"{RULED}::test_a_row_that_risk_refuses"),
    row(71, "a symbol or a message of the exchange that commands", "names are from a list, messages stay out", "",
        "decisions/tests/test_hostile_text.py::test_no_name_of_others_becomes_more_than_a_word"),
    row(72, "the model's own old text", "cut, cleaned, quoted", "",
        "decisions/tests/test_prompt.py::test_an_own_plan_is_capped_cleaned_and_quoted"),
    row(73, "a guardrail's 403 for such a text", "asked once more without it", "",
        "tests/peers/test_raw_server.py::test_73_a_guardrail_that_stumbles_over_a_text_is_asked_once_more_without_it"),
    row(74, "a market without numbers", "nobody is asked; all hold", "",
        "trading/tests/test_market_holds.py::test_promise_5_garbage_in_no_trade_data_that_cannot_be_relied_on_hold_with_their_reason_and_no_model_is_asked"),
    row(75, "a reply after the deadline", "not used; booked", "",
        "tests/peers/test_raw_server.py::test_75_a_reply_that_comes_late_is_booked_and_never_acted_on",
        "trading/tests/test_cycle.py::test_an_answer_after_the_deadline_is_discarded_and_still_kept_on_record"),
    row(76, "two replies for one cycle", "the one that was waited for; the other is booked", "",
        "tests/peers/test_raw_server.py::test_75_a_reply_that_comes_late_is_booked_and_never_acted_on"),
    row(77, "a formula in a text, in an exported table", "text: an apostrophe stands in front", "",
        "accounts/tests/test_api_csv.py::test_what_a_model_wrote_leaves_defused",
        "decisions/tests/test_gate_docs.py::test_77_tables_are_written_by_one_module_only"),
)  # fmt: skip


def as_table() -> str:
    """Return the rows as the table of the page."""
    lines = ["| # | reply | comes out | shown by |", "|---|---|---|---|"]
    for one in ROWS:
        shown = [f"`test_gate_table.py` {one.number}"] if one.outcomes else []
        shown += [f"`{name.rpartition('/')[2]}`" for name in one.elsewhere]
        result = f"{one.result} ({one.note})" if one.note else one.result
        lines.append(f"| {one.number} | {one.reply} | {result} | {', '.join(shown)} |")
    return "\n".join(lines)
