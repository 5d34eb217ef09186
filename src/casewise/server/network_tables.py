"""The server's tables of the DICOM network: what arrived, which instances there are, and what is on its way to other systems.

:class:`casewise.server.store.Store` makes them beside its own.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")

# Series that came by the DICOM network, one row each. Their files lie below the archive's folder (see dicom/arrivals.py); this is
# what is known of them. state: receiving, complete, taken in, failed. version: how often it was complete, 0 before the first time.
# image_keys: of the newest version. error: one sentence.
arrivals = sa.Table(
    "server_arrivals",
    metadata,
    sa.Column("series_uid", sa.String, primary_key=True),
    sa.Column("study_uid", sa.String, nullable=False, index=True),
    sa.Column("calling_ae", sa.String, nullable=False, default=""),
    sa.Column("called_ae", sa.String, nullable=False, default=""),
    sa.Column("address", sa.String, nullable=False, default=""),
    sa.Column("site", sa.String),
    sa.Column("modality", sa.String, nullable=False, default=""),
    sa.Column("instances", sa.Integer, nullable=False, default=0),
    sa.Column("expected", sa.Integer),
    sa.Column("first", sa.Float, nullable=False),
    sa.Column("last", sa.Float, nullable=False, index=True),
    sa.Column("state", sa.String, nullable=False, default="receiving", index=True),
    sa.Column("version", sa.Integer, nullable=False, default=0),
    sa.Column("image_keys", sa.JSON, nullable=False, default=list),
    sa.Column("error", sa.String),
)

# DICOM instances that can be asked for: received ones, and those of imported images. path: relative to the archive's folder, or
# absolute for an image that was not copied. image_key: of the image whose file it is; None before it is taken in.
instances = sa.Table(
    "server_instances",
    metadata,
    sa.Column("sop_uid", sa.String, primary_key=True),
    sa.Column("sop_class", sa.String, nullable=False),
    sa.Column("series_uid", sa.String, nullable=False, index=True),
    sa.Column("study_uid", sa.String, nullable=False, index=True),
    sa.Column("path", sa.String, nullable=False),
    sa.Column("received", sa.Float, nullable=False),
    sa.Column("image_key", sa.String, index=True),
)

# Objects on their way to other systems. state: waiting, sending, sent (accepted by the target), committed (the target said that it
# keeps it), dead. kind: seg, sr, capture, map. image_key, series_uid, result: of what it was made; superseded: a newer result was
# made since. path: relative to the archive's folder. transaction_uid: of the storage commitment whose report is awaited.
outbox = sa.Table(
    "server_outbox",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("target", sa.String, nullable=False),
    sa.Column("path", sa.String, nullable=False),
    sa.Column("sop_uid", sa.String, nullable=False),
    sa.Column("sop_class", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("image_key", sa.String, index=True),
    sa.Column("series_uid", sa.String, index=True),
    sa.Column("result", _Id),
    sa.Column("state", sa.String, nullable=False, default="waiting", index=True),
    sa.Column("superseded", sa.Boolean, nullable=False, default=False),
    sa.Column("tries", sa.Integer, nullable=False, default=0),
    sa.Column("run_after", sa.Float, nullable=False, default=0.0),
    sa.Column("lease_until", sa.Float),
    sa.Column("transaction_uid", sa.String, index=True),
    sa.Column("error", sa.String),
    sa.Column("created_by", sa.String),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("changed", sa.Float, nullable=False, index=True),
    sa.UniqueConstraint("target", "sop_uid"),
)
