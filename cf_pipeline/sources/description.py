"""The models of a `dataset.toml`: what its keys are, their defaults and their limits.

Closed to unknown keys and strict about types, so that a misspelt or mistyped key is an error rather
than a default taken in silence. Nothing here touches the file system; `dataset.py` loads.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cf_pipeline.interactions.config import KindWeight

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(strict=False)]
ColumnSpec = Annotated[str, Field(min_length=1)]
"""The name of a column, or a DuckDB expression over the columns of the file."""

FormatName = Literal["parquet", "csv", "tsv", "jsonl"]
Encoding = Literal["utf-8", "latin-1", "utf-16"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class InteractionColumns(_Section):
    """Where in a file of interactions each value stands."""

    user_id: ColumnSpec = Field(description="Who; kept as text.")
    project_id: ColumnSpec = Field(description="Which project; kept as text.")
    kind: ColumnSpec = Field(description="What was done; a name under [kinds].")
    occurred_at: ColumnSpec | None = Field(
        None, description="When: an ISO timestamp (UTC unless it says otherwise) or unix seconds."
    )
    count: ColumnSpec | None = Field(
        None, description="How often: a positive whole number; 1 without this key."
    )


class ProjectColumns(_Section):
    """Where in a file of projects each value stands."""

    project_id: ColumnSpec = Field(description="The same ids as in the interactions.")
    cover: ColumnSpec | None = Field(
        None, description="Path of the cover below covers.folder; needed with [covers]."
    )
    title: ColumnSpec | None = Field(None, description="Shown beside the cover.")
    owners: ColumnSpec | None = Field(None, description="Who made it: one text, or a list.")
    split_group: ColumnSpec | None = Field(
        None, description="Projects of one group are held out together; none: grouped by owners."
    )
    stratum: ColumnSpec | None = Field(
        None, description="Only projects of one stratum are compared in the stratified measures."
    )
    field: ColumnSpec | None = Field(None, description="A label, for evaluation only.")
    subfield: ColumnSpec | None = Field(None, description="A finer label, for evaluation only.")
    tags: ColumnSpec | None = Field(None, description="Further labels: one text, or a list.")


class TableFiles(_Section):
    """Files that hold one table, and how to read them."""

    files: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)] = Field(
        description="Paths relative to dataset.toml; globs and ${VARIABLES} expand."
    )
    format: FormatName | None = Field(
        None, description="By the suffix where not given; .gz and .zst are looked through."
    )
    delimiter: Annotated[str, Field(min_length=1, max_length=4)] | None = Field(
        None, description="Between values; a comma in csv, a tab in tsv."
    )
    quote: Annotated[str, Field(max_length=1)] = Field(
        '"', description="Around values; empty: quotes are ordinary characters."
    )
    escape: Annotated[str, Field(max_length=1)] | None = Field(
        None, description="Before a quote inside quotes; the quote itself where not given."
    )
    encoding: Encoding = Field("utf-8", description="Of csv, tsv and jsonl.")
    header: bool = Field(True, description="Whether the first line of csv and tsv names columns.")
    names: Texts | None = Field(None, description="Names of the columns, instead of the header's.")
    null: str | None = Field(
        None, description=r"A text, such as \N, that stands for no value in csv and tsv."
    )

    @model_validator(mode="after")
    def _columns_have_names(self) -> TableFiles:
        if not self.header and self.names is None:
            raise ValueError("header = false needs names = [...], the names of the columns")
        if self.quote and self.quote in (self.delimiter or ","):
            raise ValueError(f"quote and delimiter must differ, both are {self.quote!r}")
        return self


class Interactions(TableFiles):
    """`[interactions]`: who did what to which project."""

    columns: InteractionColumns


class Projects(TableFiles):
    """`[projects]`: what there is to know of each project."""

    columns: ProjectColumns
    repeated: Literal["first", "unite"] = Field(
        "first",
        description="Of several rows with one id: the first, the others being turned away; or all "
        "as one project, lists joined and else what the first row with a value says.",
    )


class Kind(KindWeight):
    """`[kinds.<name>]`: what one kind of interaction counts for."""

    truth: bool = Field(True, description="Whether it counts as truth when similarity is judged.")


class Covers(_Section):
    """`[covers]`: where the pictures lie."""

    folder: Text = Field(description="Relative to dataset.toml; ${VARIABLES} expand.")


class Features(_Section):
    """`[[features]]`: vectors of projects that come from outside."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")] = Field(
        description="They are the feature set user:<name>; lower case, digits and _, not ending in "
        "_ridge, which is what their ridge is called."
    )
    files: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)] = Field(
        description="Paths relative to dataset.toml; globs and ${VARIABLES} expand."
    )
    format: Literal["parquet", "npy", "records"] | None = Field(
        None,
        description="By the suffix where not given: .parquet; .npy, a matrix; .b, records of an "
        "id and little-endian 32-bit floats, .gz looked through.",
    )
    id_column: Text = Field("project_id", description="Of parquet: the column of ids.")
    vector_column: Text = Field("features", description="Of parquet: the column of vectors.")
    ids: Text | None = Field(
        None, description="Of npy: a text file with an id a line, in the order of the rows."
    )
    id_bytes: int = Field(8, ge=1, le=4096, description="Of records: bytes of an id.")
    dimensions: int | None = Field(
        None, ge=1, description="Of records: floats of a vector, which nothing else says."
    )

    @field_validator("name")
    @classmethod
    def _is_no_ridge(cls, name: str) -> str:
        if name.endswith("_ridge"):
            raise ValueError("a name that ends in _ridge is that of a ridge: take another")
        return name


class Users(_Section):
    """`[users]`: who is left out, and how an owner and a board are written as users."""

    owner_user: str = Field(
        "{owner}",
        description="The user_id of an owner, {owner} standing for the owner's name.",
    )
    board_user: str | None = Field(
        None,
        description="The user_id of a board, {board} standing for its name, which then is a word "
        "of what is on it; none: no user is a board.",
    )
    exclude_users: Texts = Field((), description="Users left out of the matrix and of the truth.")

    @model_validator(mode="after")
    def _names_stand_in_patterns(self) -> Users:
        if self.board_user is not None and "{board}" not in self.board_user:
            raise ValueError(
                f"board_user must contain {{board}}, the place of the board's name, "
                f"got {self.board_user!r}; for instance 'board:{{board}}'"
            )
        if "{owner}" not in self.owner_user:
            raise ValueError(
                f"owner_user must contain {{owner}}, the place of the owner's name, "
                f"got {self.owner_user!r}; for instance 'contributor:{{owner}}'"
            )
        return self


class Split(_Section):
    """`[split]`: what belongs to the data about holding projects out."""

    max_component_share: float = Field(
        0.05,
        gt=0,
        le=1,
        description="Connected projects above this share of all always train.",
    )


class Truth(_Section):
    """`[truth]`: what belongs to the data about judging similarity."""

    min_degree: int = Field(1, ge=1, description="Fewest truth events of a project to be judged.")


class Description(_Section):
    """A whole `dataset.toml`."""

    name: Text = Field(description="A short name, shown with results.")
    description: str = Field("", description="One sentence; say who the users are.")
    interactions: Interactions
    kinds: Annotated[dict[Text, Kind], Field(min_length=1)]
    projects: Projects
    covers: Covers | None = Field(
        None, description="Where there are none, [[features]] take their place."
    )
    features: Annotated[tuple[Features, ...], Field(strict=False)] = ()
    users: Users = Field(default_factory=Users)
    split: Split = Field(default_factory=Split)
    truth: Truth = Field(default_factory=Truth)

    @model_validator(mode="after")
    def _there_is_something_to_see(self) -> Description:
        if self.covers is None and not self.features:
            raise ValueError(
                "neither [covers] nor [[features]]: expected a folder of pictures, or vectors of "
                "projects to take their place"
            )
        if (self.covers is None) != (self.projects.columns.cover is None):
            raise ValueError(
                "[covers] and projects.columns.cover go together: the one says where pictures "
                "lie, the other which of them is a project's"
            )
        names = [features.name for features in self.features]
        if len(set(names)) < len(names):
            raise ValueError(f"every [[features]] needs a name of its own, got {names}")
        return self
