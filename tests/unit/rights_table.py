"""The table of rights, written by hand: what the walks hold the product against.

It says what was decided, not what the code says. ``docs/access.md`` has it in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from core.access.roles import Role
from core.promotion.audit import Action as A

VIEWER, OPERATOR, APPROVER, ADMIN = Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN
#: From least to most.
LADDER = (VIEWER, OPERATOR, APPROVER, ADMIN)

LEAST: Mapping[A, Role] = {
    A.RUN_STARTED: OPERATOR,
    A.RUN_CANCELLED: OPERATOR,
    A.SWEEP_STARTED: OPERATOR,
    A.SWEEP_CANCELLED: OPERATOR,
    A.CHECK_STARTED: OPERATOR,
    A.CHECK_CANCELLED: OPERATOR,
    A.BATCH_ACCEPTED: OPERATOR,
    A.LABELS_ADDED: OPERATOR,
    A.ALERT_ACKNOWLEDGED: OPERATOR,
    A.TRIAL_ALERT_SENT: OPERATOR,
    A.REQUEST_OPENED: OPERATOR,
    A.SHADOW_STARTED: OPERATOR,
    A.APPROVAL_GIVEN: APPROVER,
    A.ROLLOUT_HELD: APPROVER,
    A.ROLLOUT_CONTINUED: APPROVER,
    A.ROLLOUT_STOPPED: APPROVER,
    A.REQUEST_REJECTED: APPROVER,
    A.ROLLED_BACK: APPROVER,
    A.ALIAS_RESTORED: APPROVER,
    A.TRAIL_ANCHORED: ADMIN,
    A.ACCOUNT_ADDED: ADMIN,
    A.ROLE_CHANGED: ADMIN,
    A.ACCOUNT_REMOVED: ADMIN,
    A.TOKEN_ISSUED: ADMIN,
    A.KEY_MADE: ADMIN,
    A.KEY_REVOKED: ADMIN,
    A.BACKUP_MADE: ADMIN,
    A.BACKUP_RESTORED: ADMIN,
    A.TOKEN_RENEWED: VIEWER,
}


#: What whoever owns the files may as well, without a token.
OR_THE_HOST = frozenset({A.BACKUP_MADE, A.BACKUP_RESTORED})


class Door(Enum):
    """What else something may take."""

    #: To have signed in.
    SIGNED_IN = "signed in"
    #: To own the files, and to have no token.
    HOST = "host"
    #: Nothing: it tells of this machine's processes, or of a file that is given, and touches no
    #: record of the installation.
    MACHINE = "machine"


Needs = A | Door


def is_allowed(role: Role | None, needs: Needs) -> bool:
    """Whether a role, or nobody, may do something."""
    if needs is Door.MACHINE:
        return True
    if needs is Door.HOST:
        return role is None
    if role is None:
        return needs in OR_THE_HOST
    if needs is Door.SIGNED_IN:
        return True
    return LADDER.index(role) >= LADDER.index(LEAST[needs])


@dataclass(frozen=True)
class Visit:
    """A command as somebody types it; ``{file}`` and ``{me}`` are filled in."""

    words: str
    needs: Needs
    #: Under what a refusal is recorded, if that is another action.
    recorded: A | None = None

    @property
    def recorded_as(self) -> str:
        return (self.recorded or self.needs).value


_WHY = "--reason=because-it-is-so"
READ = Door.SIGNED_IN
#: Command -> ways to call it.
COMMANDS: Mapping[str, tuple[Visit, ...]] = {
    "up": (Visit("up", Door.MACHINE),),
    "down": (Visit("down", Door.MACHINE),),
    "status": (Visit("status", Door.MACHINE),),
    "doctor": (Visit("doctor", Door.MACHINE),),
    "service ray": (Visit("service ray", Door.MACHINE),),
    "service ray-node": (Visit("service ray-node", Door.MACHINE),),
    "service mlflow": (Visit("service mlflow", Door.MACHINE),),
    "service worker": (Visit("service worker", Door.MACHINE),),
    "service panel": (Visit("service panel", Door.MACHINE),),
    "service models": (Visit("service models", Door.MACHINE),),
    "service bucket": (Visit("service bucket", Door.MACHINE),),
    "run": (Visit("run plums", A.RUN_STARTED),),
    "runs list": (Visit("runs list", READ),),
    "runs show": (Visit("runs show none", READ),),
    "runs logs": (Visit("runs logs none", READ),),
    "runs compare": (Visit("runs compare none nil", READ),),
    "runs cancel": (Visit("runs cancel none", A.RUN_CANCELLED),),
    "serve status": (Visit("serve status", READ),),
    # It reads files of the clone alone.
    "pipeline report": (Visit("pipeline report", Door.MACHINE),),
    "pipeline register": (Visit("pipeline register plums", A.RUN_STARTED),),
    "promote list": (Visit("promote list", READ),),
    "promote history": (Visit("promote history plums", READ),),
    "promote request": (Visit(f"promote request plums 1 {_WHY}", A.REQUEST_OPENED),),
    "promote approve": (Visit(f"promote approve none {_WHY}", A.APPROVAL_GIVEN),),
    "promote reject": (Visit(f"promote reject none {_WHY}", A.REQUEST_REJECTED),),
    "promote rollback": (Visit(f"promote rollback plums {_WHY}", A.ROLLED_BACK),),
    "promote restore": (Visit(f"promote restore plums {_WHY}", A.ALIAS_RESTORED),),
    "rollout list": (Visit("rollout list", READ),),
    "rollout show": (Visit("rollout show plums", READ),),
    "rollout shadow": (Visit(f"rollout shadow plums 1 {_WHY}", A.SHADOW_STARTED),),
    "rollout canary": (Visit(f"rollout canary none {_WHY}", A.APPROVAL_GIVEN),),
    "rollout hold": (Visit(f"rollout hold plums {_WHY}", A.ROLLOUT_HELD),),
    "rollout continue": (Visit(f"rollout continue plums {_WHY}", A.ROLLOUT_CONTINUED),),
    "rollout stop": (Visit(f"rollout stop plums {_WHY}", A.ROLLOUT_STOPPED),),
    "profile": (Visit("profile plums --profiles 1c-1g", A.SWEEP_STARTED),),
    "profiles list": (Visit("profiles list plums", READ),),
    "profiles show": (Visit("profiles show none", READ),),
    "profiles logs": (Visit("profiles logs none", READ),),
    "profiles cancel": (Visit("profiles cancel none", A.SWEEP_CANCELLED),),
    "batch add": (Visit("batch add plums {file}", A.BATCH_ACCEPTED, A.BATCH_REFUSED),),
    "batch labels": (Visit("batch labels plums {file}", A.LABELS_ADDED),),
    "batch list": (Visit("batch list plums", READ),),
    "batch show": (Visit("batch show none", READ),),
    "batch compare": (Visit("batch compare none nil", READ),),
    "drift": (Visit("drift plums --batch none", A.CHECK_STARTED),),
    "checks list": (Visit("checks list plums", READ),),
    "checks show": (Visit("checks show none", READ),),
    "checks logs": (Visit("checks logs none", READ),),
    "checks cancel": (Visit("checks cancel none", A.CHECK_CANCELLED),),
    "alerts list": (Visit("alerts list", READ),),
    "alerts show": (Visit("alerts show none", READ),),
    "alerts acknowledge": (Visit("alerts acknowledge none --note seen", A.ALERT_ACKNOWLEDGED),),
    "alerts test": (Visit("alerts test", A.TRIAL_ALERT_SENT),),
    "audit list": (Visit("audit list", READ),),
    "audit verify": (Visit("audit verify", READ),),
    "audit export": (Visit("audit export", READ),),
    "audit anchor": (Visit(f"audit anchor {_WHY}", A.TRAIL_ANCHORED),),
    "retrain": (
        Visit("retrain plums --dry-run", READ),
        Visit("retrain plums", A.RUN_STARTED),
    ),
    "simulate": (Visit("simulate plums --here --days 1", A.BATCH_ACCEPTED),),
    "trace": (Visit("trace none", READ),),
    "users whoami": (Visit("users whoami", READ),),
    "users list": (Visit("users list", READ),),
    "users add": (Visit("users add new --role viewer", A.ACCOUNT_ADDED),),
    "users role": (Visit("users role none --role admin", A.ROLE_CHANGED),),
    "users remove": (Visit("users remove none", A.ACCOUNT_REMOVED),),
    "users token": (
        Visit("users token none", A.TOKEN_ISSUED),
        Visit("users token {me}", A.TOKEN_RENEWED),
    ),
    "users recover": (Visit("users recover eve", Door.HOST, A.ADMIN_RECOVERED),),
    "keys add": (Visit("keys add plums --name shop", A.KEY_MADE),),
    "keys make": (Visit("keys make plums --name shop", A.KEY_MADE),),
    "keys list": (Visit("keys list", READ),),
    "keys revoke": (Visit("keys revoke none", A.KEY_REVOKED),),
    "backup create": (Visit("backup create", A.BACKUP_MADE),),
    "backup show": (Visit("backup show {file}", Door.MACHINE),),
    "backup restore": (Visit("backup restore {file}", A.BACKUP_RESTORED),),
}

#: Where the panel's code draws a button, and its label with … for what changes -> what it takes.
BUTTONS: Mapping[tuple[str, str], Needs] = {
    ("components/account_view.py", "Token for the command line"): A.TOKEN_RENEWED,
    ("components/alert_view.py", "I have seen it"): A.ALERT_ACKNOWLEDGED,
    ("components/alert_view.py", "Acknowledge"): A.ALERT_ACKNOWLEDGED,
    ("components/decision_view.py", "Approve v…"): A.APPROVAL_GIVEN,
    ("components/decision_view.py", "Reject v…"): A.REQUEST_REJECTED,
    ("components/document_view.py", "… as …"): READ,
    ("components/keys_view.py", "Make a key"): A.KEY_MADE,
    ("components/keys_view.py", "Make"): A.KEY_MADE,
    ("components/keys_view.py", "Revoke"): A.KEY_REVOKED,
    ("components/keys_view.py", "Revoke …"): A.KEY_REVOKED,
    ("components/keys_view.py", "Done"): READ,
    ("components/labels_view.py", "Add the labels"): A.LABELS_ADDED,
    # Of runs, sweeps and checks, which take the same role.
    ("components/live.py", "Cancel this …"): A.RUN_CANCELLED,
    ("components/live.py", "Yes, cancel the …"): A.RUN_CANCELLED,
    ("components/people_dialogs.py", "Add"): A.ACCOUNT_ADDED,
    ("components/people_dialogs.py", "Change the role"): A.ROLE_CHANGED,
    ("components/people_dialogs.py", "Make a new token"): A.TOKEN_ISSUED,
    ("components/people_dialogs.py", "Remove …"): A.ACCOUNT_REMOVED,
    ("components/people_dialogs.py", "Done"): READ,
    ("components/people_view.py", "Add an account"): A.ACCOUNT_ADDED,
    ("components/people_view.py", "Change the role"): A.ROLE_CHANGED,
    ("components/people_view.py", "New token"): A.TOKEN_ISSUED,
    ("components/people_view.py", "Remove"): A.ACCOUNT_REMOVED,
    ("components/picked.py", "Comparison as CSV"): READ,
    ("components/picked.py", "Report as HTML"): READ,
    ("components/prediction.py", "Predict"): READ,
    ("components/production_view.py", "Restore the aliases"): A.ALIAS_RESTORED,
    ("components/rollback_view.py", "Roll back from v… to v…"): A.ROLLED_BACK,
    ("components/rollout_actions.py", "Hold v…"): A.ROLLOUT_HELD,
    ("components/rollout_actions.py", "Go on with v…"): A.ROLLOUT_CONTINUED,
    ("components/rollout_actions.py", "Abort, back to v…"): A.ROLLOUT_STOPPED,
    ("components/rollout_actions.py", "Stop v…"): A.ROLLOUT_STOPPED,
    ("components/shadow_form.py", "Start the shadow"): A.SHADOW_STARTED,
    ("components/upload_view.py", "Check and add"): A.BATCH_ACCEPTED,
    # Of the verdict on the screen; what was accepted stays.
    ("components/upload_view.py", "Put away"): READ,
    # The way in and out, which is there for everybody.
    ("components/who.py", "Sign in"): Door.MACHINE,
    ("components/who.py", "Sign out"): Door.MACHINE,
    ("components/who.py", "Renew my token"): A.TOKEN_RENEWED,
    ("components/who.py", "Renew"): A.TOKEN_RENEWED,
    ("views/audit.py", "Verify now"): READ,
    ("views/audit.py", "JSON Lines"): READ,
    ("views/audit.py", "CSV"): READ,
    ("views/drift.py", "Check this batch"): A.CHECK_STARTED,
    ("views/drift.py", "Check the last … of predictions"): A.CHECK_STARTED,
    ("views/experiments.py", "Table as CSV"): READ,
    ("views/resources.py", "Start the sweep"): A.SWEEP_STARTED,
    ("views/train.py", "Start the run"): A.RUN_STARTED,
}

#: File with the same table for people.
DOCUMENT = Path(__file__).parents[2] / "docs" / "access.md"
