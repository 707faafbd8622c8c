"""The command that lets a person see whether alerts arrive."""

import click

from stopkeeper.console import words
from stopkeeper.console.failures import BadConfiguration, Exit
from stopkeeper.console.session import Session, command, common_options


@click.group("alerts", params=common_options(), short_help="See whether alerts arrive.")
def alerts() -> None:
    """See whether alerts arrive.

    \b
    Example:
      stopkeeper alerts test
    """


@command("test", short_help="Send a test message to every URL.", example="stopkeeper alerts test --json")
def alerts_test(session: Session) -> int:
    """Send one test message through every URL of [alerts], once, and say of each whether it was taken; exit 1 if not.

    Of a URL only the scheme is shown: the rest of it is a secret.
    """
    sent = session.house.try_alerts()
    if not sent:
        hint = 'add them, like urls = ["tgram://TOKEN/CHAT"], under [alerts]'
        raise BadConfiguration("no alert URLs are configured", field="alerts.urls", hint=hint)
    if session.json:
        session.give(sent)
    else:
        ok, failed_word = words.styled("green", "ok"), words.styled("red", "failed")
        cells = [(str(each.number), each.url, ok if each.ok else failed_word, each.detail) for each in sent]
        session.table((">#", "url", "status", "detail"), cells, empty="")
    failed = [f"{each.number} ({each.url})" for each in sent if not each.ok]
    if failed:
        session.note(f"error: alerts: {len(failed)} of {len(sent)} not delivered: {', '.join(failed)}")
    return Exit.ERROR if failed else Exit.OK


alerts.add_command(alerts_test)
COMMANDS = (alerts,)
