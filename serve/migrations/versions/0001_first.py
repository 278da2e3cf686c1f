"""The first tables: corrections and keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "feedback",
        sa.Column("number", number, primary_key=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("created", moment, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("speaker", sa.Text()),
        sa.Column("counterpart", sa.Text()),
        sa.Column("stance", sa.String(32)),
        sa.Column("hostility", sa.String(32)),
        sa.Column("sentiment", sa.String(32)),
        sa.Column("note", sa.Text()),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("is_editor", sa.Boolean(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
    )
    op.create_table(
        "api_key",
        sa.Column("number", number, primary_key=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.String(32), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("is_editor", sa.Boolean(), nullable=False),
        sa.Column("created", moment, nullable=False),
        sa.Column("revoked", moment),
    )
    op.create_index("ix_api_key_prefix", "api_key", ["prefix"])


def downgrade() -> None:
    """Drops the tables and all that they hold."""
    op.drop_table("api_key")
    op.drop_table("feedback")
