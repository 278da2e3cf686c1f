"""Results as HTML: pure functions, every text escaped. Colours come from the variables of ``demo.css``."""

from collections.abc import Sequence
from html import escape
from typing import Final

from detente.article.ledger import Entry
from detente.article.reading import Reading, ReadStatement
from detente.labels import HOSTILITY_LEVELS, MAX_LEVEL
from detente.parties import collect_names, find_mentions
from detente.records import Explanation, Score, Statement

MAX_CELLS: Final = 12
"""Most parties on a side of the heat map; the rest stand in the list of dyads."""
_MIN_WEIGHT: Final = 0.03


def show_empty(message: str) -> str:
    """What stands where nothing is yet."""
    return f'<p class="dt-empty">{escape(message)}</p>'


def show_error(message: str) -> str:
    """A refusal, read out by screen readers."""
    return f'<p class="dt-error" role="alert">{escape(message)}</p>'


def show_notice(message: str) -> str:
    """What a reader should know, read out by screen readers."""
    return f'<p class="dt-notice" role="status">{escape(message)}</p>'


def show_score(statement: Statement, score: Score, model_version: str) -> str:
    """Stance, hostility and sentiment of one statement."""
    who = escape(statement.speaker or "the author")
    whom = escape(statement.counterpart or "whomever it is about")
    review = (
        show_notice(
            f"Needs review: the stance is right with a probability of {score.confidence:.0%} only. "
            "Read the statement yourself before you use the score."
        )
        if score.needs_review
        else ""
    )
    return (
        f'<section class="dt-score" aria-label="Score"><h3>{who} <span aria-hidden="true">→</span>'
        f'<span class="dt-hidden"> toward </span> {whom}</h3>{review}'
        f"{_show_stance(score)}{_show_hostility(score)}"
        f"<p>Sentiment of the words: <b>{score.sentiment_label}</b> "
        f"({score.sentiment_probs[score.sentiment_label]:.0%}), whoever is meant.</p>"
        f'<p class="dt-quiet">Confidence in the stance {score.confidence:.0%} · model {escape(model_version)}</p>'
        "</section>"
    )


def _show_stance(score: Score) -> str:
    """A bar that grows from the middle: to the left against, to the right favour."""
    width = abs(score.stance) * 50
    left = 50 - width if score.stance < 0 else 50
    shares = " · ".join(f"{name} {share:.0%}" for name, share in score.stance_probs.items())
    return (
        f'<div class="dt-row"><span>Stance</span><b>{score.stance_label} {score.stance:+.2f}</b></div>'
        f'<div class="dt-bar" role="img" aria-label="Stance {score.stance:+.2f} on a scale from -1, against, to 1, '
        f'favour"><i class="dt-{score.stance_label}" style="left:{left:.1f}%;width:{width:.1f}%"></i><s></s></div>'
        f'<div class="dt-row dt-quiet"><span>against -1</span><span>0</span><span>favour +1</span></div>'
        f'<p class="dt-quiet">{shares}</p>'
    )


def _show_hostility(score: Score) -> str:
    steps = "".join(
        f"<li{' class=dt-on aria-current=true' if name == score.hostility_level else ''}>"
        f'<span>{name}</span><i style="height:{3 + 42 * score.hostility_probs[name]:.0f}px" aria-hidden="true"></i>'
        f"<b>{score.hostility_probs[name]:.0%}</b></li>"
        for name in HOSTILITY_LEVELS
    )
    return (
        f'<div class="dt-row"><span>Hostility</span><b>{score.hostility_level} {score.hostility:.2f}</b></div>'
        f'<ol class="dt-levels" aria-label="Probability of each of {MAX_LEVEL + 1} levels">{steps}</ol>'
    )


def show_words(statement: Statement, explanation: Explanation) -> str:
    """The statement, its words coloured by what they did to the stance, and the two parties underlined."""
    weights = {(word.start, word.end): word.weight for word in explanation.stance}
    roles = {(m.start, m.end): m.role for m in find_mentions(statement.text, collect_names(statement))}
    strongest = max([0.1, *map(abs, weights.values())])
    pieces: list[str] = []
    end = 0
    for start, stop in sorted(weights.keys() | roles.keys()):
        if start < end:  # a word of a name
            continue
        weight, role = weights.get((start, stop), 0.0), roles.get((start, stop))
        side = ("favour" if weight > 0 else "against") if abs(weight) >= _MIN_WEIGHT else ""
        names = " ".join(filter(None, (f"dt-word-{side}" if side else "", f"dt-{role}" if role else "")))
        says = "; ".join(filter(None, (f"{weight:+.2f} toward {side}" if side else "", role or "")))
        shown = escape(statement.text[start:stop])
        pieces.append(escape(statement.text[end:start]))
        strength = abs(weight) / strongest
        pieces.append(
            f'<span class="{names}" style="--w:{strength:.2f}" title="{says}">{shown}</span>' if names else shown
        )
        end = stop
    pieces.append(escape(statement.text[end:]))
    return (
        f'<section aria-label="Words that moved the stance"><p class="dt-text" dir="auto">{"".join(pieces)}</p>'
        '<p class="dt-legend"><span class="dt-word-favour" style="--w:.8">moved it toward favour</span> '
        '<span class="dt-word-against" style="--w:.8">moved it toward against</span> '
        '<span class="dt-speaker">speaker</span> <span class="dt-counterpart">counterpart</span></p></section>'
    )


def show_article(reading: Reading) -> str:
    """The article with its statements marked by the colour of the speaker, and notices before it."""
    parties = list(dict.fromkeys(_name(s.speaker.party if s.speaker else None) for s in reading.statements))
    colours = {party: k % 8 for k, party in enumerate(parties)}
    marks = sorted((p, k) for k, s in enumerate(reading.statements) for p in s.pieces)
    pieces: list[str] = []
    end = 0
    for (start, stop), k in marks:
        if start < end:  # a statement toward several parties is marked once
            continue
        statement = reading.statements[k]
        speaker = _name(statement.speaker.party if statement.speaker else None)
        title = "; ".join(_say(s) for s in reading.statements if (start, stop) in s.pieces)
        pieces.append(escape(reading.text[end:start]))
        pieces.append(
            f'<mark class="dt-c{colours[speaker]}" title="{escape(title)}" tabindex="0">'
            f"{escape(reading.text[start:stop])}</mark>"
        )
        end = stop
    pieces.append(escape(reading.text[end:]))
    notices = "".join(show_notice(notice) for notice in reading.notices)
    legend = " ".join(f'<mark class="dt-c{colours[party]}">{escape(party)}</mark>' for party in parties)
    return (
        f'{notices}<p class="dt-legend" aria-label="Speakers">{legend}</p>'
        f'<div class="dt-article" dir="auto">{"".join(pieces)}</div>'
    )


def _say(statement: ReadStatement) -> str:
    speaker = _name(statement.speaker.party if statement.speaker else None)
    counterpart = statement.counterpart.party if statement.counterpart else "nobody found"
    score = statement.score
    return f"{speaker} → {counterpart}: {score.stance_label} {score.stance:+.2f}, {score.hostility_level}"


def _name(party: str | None) -> str:
    return party or "the outlet"


def list_statements(reading: Reading) -> str:
    """Every statement as a row of a table."""
    rows = []
    for statement in reading.statements:
        score = statement.score
        cells = (
            _name(statement.speaker.party if statement.speaker else None),
            statement.counterpart.party if statement.counterpart else "nobody found",
            statement.text,
            f"{score.stance_label} {score.stance:+.2f}",
            score.hostility_level,
            "read it yourself" if score.needs_review else "",
        )
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    if not rows:
        return ""
    names = ("speaker", "counterpart", "statement", "stance", "hostility", "review")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return (
        '<div class="dt-scroll" tabindex="0"><table class="dt-list"><caption>Statements</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def show_dyads(reading: Reading) -> str:
    """Who speaks of whom, as a table coloured by the mean stance."""
    if not reading.dyads:
        return show_empty("No dyad: no statement of one party toward another was found.")
    order = sorted(reading.dyads, key=lambda d: -d.n)
    speakers = list(dict.fromkeys(d.speaker for d in order))[:MAX_CELLS]
    counterparts = list(dict.fromkeys(d.counterpart for d in order))[:MAX_CELLS]
    cells = {(d.speaker, d.counterpart): d for d in reading.dyads}
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in counterparts)
    body = []
    for speaker in speakers:
        row = [f'<th scope="row">{escape(speaker)}</th>']
        for counterpart in counterparts:
            dyad = cells.get((speaker, counterpart))
            if dyad is None:
                row.append('<td class="dt-none"><span class="dt-hidden">nothing</span></td>')
                continue
            side = "favour" if dyad.stance > 0 else "against"
            row.append(
                f'<td class="dt-cell-{side}" style="--w:{abs(dyad.stance):.2f}" title="{dyad.n} statements, hostility '
                f'{dyad.hostility:.2f}, at most {dyad.hostility_max:.2f}">'
                f"{dyad.stance:+.2f}<small>{dyad.n}</small></td>"
            )
        body.append(f"<tr>{''.join(row)}</tr>")
    left_out = len(reading.dyads) - sum(s in speakers and c in counterparts for s, c in cells)
    more = show_notice(f"{left_out} more dyads stand in the list of statements below.") if left_out else ""
    return (
        '<div class="dt-scroll" tabindex="0"><table class="dt-heat"><caption>Mean stance of the row toward the column, '
        f"and the number of statements</caption><thead><tr><td></td>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
        f"</table></div>{more}"
    )


def show_progress(done: int, total: int, failed: int, rate: float) -> str:
    """How far a file is."""
    left = f", about {(total - done) / rate:.0f} s left" if 0 < done < total and rate else ""
    return (
        f'<progress class="dt-progress" max="{total}" value="{done}" aria-label="Rows scored"></progress>'
        f'<p role="status">{done:,} of {total:,} rows, {failed:,} with an error; {rate:,.0f} rows/s{left}</p>'
    )


def show_failures(failures: Sequence[tuple[int, str]], most: int = 20) -> str:
    """The rows that could not be scored, and why."""
    if not failures:
        return ""
    items = "".join(f"<li>row {number}: {escape(reason)}</li>" for number, reason in failures[:most])
    rest = f"<p>and {len(failures) - most:,} more, all in the file</p>" if len(failures) > most else ""
    return f'<section aria-label="Rows with an error"><ul class="dt-failures">{items}</ul>{rest}</section>'


def list_dyads(entries: Sequence[Entry]) -> list[str]:
    """The dyads of a ledger that have a date, those of most days first."""
    days: dict[str, int] = {}
    for entry in entries:
        if entry.date:
            name = f"{entry.speaker} → {entry.counterpart}"
            days[name] = days.get(name, 0) + 1
    return sorted(days, key=lambda name: (-days[name], name))
