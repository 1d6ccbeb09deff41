"""Every exception of the suite, the family tree at the top.

    ScalingError
    ├── RecordError      a row, a table or a file that cannot be read as runs
    ├── StudyError       a study file that cannot be carried out
    ├── CorpusError      text that cannot be found or cut as asked
    ├── TrainError       a run that cannot start or go on
    ├── LawError         a function that cannot serve as a law
    ├── FitError         a fit that cannot be made from these runs
    ├── ScenarioError    assumptions that no forecast can be made from
    ├── PlotError        something that cannot be drawn
    ├── ReportError      a notebook that cannot be turned into a report
    └── MissingPackage   a package of an extra that is not installed

Each message says what was asked, what was found, and one way out; the parts are attributes too.
The command line prints the message on one line and exits with 2.
"""

from __future__ import annotations

from pathlib import Path


class ScalingError(Exception):
    """Anything the suite refuses to do, in words."""


class MissingPackage(ScalingError):
    """A package of an extra that is not installed."""

    def __init__(self, package: str, extra: str):
        self.package, self.extra = package, extra
        super().__init__(
            f"this needs {package}, which is not installed. Add it with pip install 'scaling[{extra}]'."
        )


# --- records and the store -------------------------------------------------------------------------


class RecordError(ScalingError):
    """A row, a table or a file that cannot be read as runs."""


class MissingRuns(RecordError):
    """Nothing to open where runs were expected."""

    def __init__(self, where: object, hint: str):
        self.where = str(where)
        super().__init__(f"asked for runs at {self.where}, but found none there. {hint}")


class UnreadableTable(RecordError):
    """A file that is cut short, or not the format its name says."""

    def __init__(self, path: str | Path, reason: str):
        self.path, self.reason = str(path), reason
        super().__init__(
            f"{self.path} cannot be read as a table ({reason}). "
            "Restore it, or delete it and run the sweep again to rebuild it."
        )


class MissingColumns(RecordError):
    """A table without a column that was asked for."""

    def __init__(self, missing: list[str], found: list[str], hint: str):
        self.missing, self.found = missing, found
        super().__init__(
            f"column {', '.join(map(str, missing))} asked for, but the table has {', '.join(found)}. {hint}"
        )


class BadCondition(RecordError):
    """A condition on rows that cannot be carried out."""

    def __init__(self, where: str, reason: str, columns: list[str]):
        self.where, self.reason, self.columns = where, reason, columns
        super().__init__(
            f"asked for rows where {where!r}, but that is no condition on these columns ({reason}). "
            f'Write SQL with the columns {", ".join(columns)}, e.g. "epochs = 1".'
        )


class UnknownUnit(RecordError):
    """A unit or a quantity that cannot be understood."""

    def __init__(self, given: str, known: str):
        self.given = given
        super().__init__(f"cannot understand {given!r}; known are {known}.")


class UnknownPublished(RecordError):
    """A name that no published source has."""

    def __init__(self, given: str, known: tuple[str, ...], closest: str | None):
        self.given, self.known, self.closest = given, known, closest
        guess = f"Did you mean {closest!r}? " if closest else ""
        super().__init__(
            f"asked for published:{given}, which is not known. {guess}Known: {', '.join(known)}."
        )


class MissingPublished(RecordError):
    """A published source that is not on this machine."""

    def __init__(self, name: str, *, fetchable: bool):
        self.name, self.fetchable = name, fetchable
        way = f"Fetch it with `scaling published fetch {name}`, or name" if fetchable else "Name"
        super().__init__(
            f"asked for published:{name}, which is not on this machine. {way} a folder that has it "
            "in SCALING_PUBLISHED."
        )


class DownloadFailed(RecordError):
    """A file that did not come from the network as promised."""

    def __init__(self, url: str, reason: str):
        self.url, self.reason = url, reason
        super().__init__(
            f"{url} was not fetched: {reason}. Nothing was kept of it; try again, or get it by hand."
        )


# --- study files -----------------------------------------------------------------------------------


class StudyError(ScalingError):
    """A study file that cannot be carried out."""


class UnknownKey(StudyError):
    """A key that no study has."""

    def __init__(self, where: str, key: str, known: list[str], closest: str | None):
        self.key, self.known = key, known
        guess = f"Did you mean {closest!r}?" if closest else f"Known keys: {', '.join(known)}."
        super().__init__(f"{where} has the key {key!r}, which no study has. {guess}")


class BadValue(StudyError):
    """A value of the wrong kind or out of range."""

    def __init__(self, where: str, key: str, found: object, wanted: str):
        self.key, self.found, self.wanted = key, found, wanted
        super().__init__(f"{where}: {key} = {found!r}, but it must be {wanted}. Change it in the study file.")


class BudgetBeyondCorpus(StudyError):
    """A token budget larger than the tokens on offer, with no epochs allowed."""

    def __init__(self, domain: str, asked: int, available: int, max_epochs: float):
        self.domain, self.asked, self.available, self.max_epochs = domain, asked, available, max_epochs
        super().__init__(
            f"the study asks for {asked:,} tokens of {domain!r}, but {available:,} distinct ones are on offer and "
            f"max_epochs is {max_epochs:g}. "
            f"Lower the budget, or allow repeats with max_epochs = {-(-asked // available)}."
        )


class StudyChanged(StudyError):
    """A study file edited after it has run."""

    def __init__(self, name: str, difference: str):
        self.name, self.difference = name, difference
        super().__init__(
            f"study {name!r} has rows that were made from another study file; the difference is\n{difference}\n"
            "Undo the edit, or give the changed study a name (and folder) of its own."
        )


# --- corpora ---------------------------------------------------------------------------------------


class CorpusError(ScalingError):
    """Text that cannot be found or cut as asked."""


class MissingFolder(CorpusError):
    """A folder or file of text that is not there."""

    def __init__(self, path: str | Path):
        self.path = str(path)
        super().__init__(
            f"asked for text in {self.path}, but there is no such file or folder. Check the path in the study file."
        )


class PackageNotInstalled(CorpusError):
    """A package named as a source of text that is not installed."""

    def __init__(self, name: str):
        self.name = name
        super().__init__(
            f"asked for the text of the package {name!r}, but it is not installed here. "
            f"Install it (pip install {name}), or take it out of corpus.packages."
        )


class EmptyDomain(CorpusError):
    """A domain with too little text to train or to test on."""

    def __init__(self, domain: str, split: str, found: int, needed: int):
        self.domain, self.split, self.found, self.needed = domain, split, found, needed
        super().__init__(
            f"asked for {needed:,} tokens of {domain!r} ({split}), but the corpus has {found:,}. "
            "Add files to the corpus, or take the domain out of the blend."
        )


class UnknownSource(CorpusError):
    """A kind of source that there is not."""

    def __init__(self, given: object, known: tuple[str, ...], closest: str | None):
        self.given, self.known, self.closest = given, known, closest
        guess = f"Did you mean {closest!r}? " if closest else ""
        super().__init__(
            f"asked for text from the source {given!r}, which there is not. {guess}Known: {', '.join(known)}."
        )


class UnknownDomain(CorpusError):
    """A domain that the corpus has no text of."""

    def __init__(self, domain: str, known: tuple[str, ...]):
        self.domain, self.known = domain, known
        super().__init__(
            f"asked for text of the domain {domain!r}, but the corpus has {', '.join(map(repr, known))}. "
            "Name these in the blend, e.g. blend = { " + f'"{known[0] if known else "text"}" = 1.0 }}.'
        )


class NoText(CorpusError):
    """A source without anything to train on."""

    def __init__(self, asked: str, documents: int, left_out: dict[str, int]):
        self.asked, self.documents, self.left_out = asked, documents, left_out
        why = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
        super().__init__(
            f"asked for text to train on in {asked}, but its {documents} documents give none"
            f"{f' ({why})' if why else ''}. Add documents; one in twenty is held out."
        )


class UnreadableText(CorpusError):
    """A row of a table that is not what it should be."""

    def __init__(self, path: str | Path, row: int | None, reason: str):
        self.path, self.row, self.reason = str(path), row, reason
        where = self.path if row is None else f"row {row} of {self.path}"
        super().__init__(
            f"{where} cannot be read as text ({reason}). Mend it, or take it out; no row is left out unsaid."
        )


class MissingTextColumn(CorpusError):
    """A table without the column of text or of domains that was asked for."""

    def __init__(self, where: str, column: str, found: list[str]):
        self.where, self.column, self.found = where, column, found
        super().__init__(
            f"asked for the column {column!r}, but {where} has {', '.join(map(repr, found)) or 'none'}. "
            "Name one of these as text_column (or domain_column) in the study file."
        )


class DatasetNotFound(CorpusError):
    """A Hugging Face dataset that cannot be had."""

    def __init__(self, name: str, split: str, reason: str):
        self.name, self.split, self.reason = name, split, reason
        super().__init__(
            f"asked for the split {split!r} of the dataset {name!r}, but it cannot be had ({reason}). "
            "Check name, subset, split and the network, or give a folder of files as the name."
        )


class TooManyDomains(CorpusError):
    """A column of domains that is no such thing."""

    def __init__(self, most: int, asked: str):
        self.most, self.asked = most, asked
        super().__init__(
            f"asked to split {asked} into domains, but its column has more than {most} different values. "
            "Name a column with a few, or none."
        )


class VocabularyMismatch(CorpusError):
    """A model and a corpus that do not have the same tokens."""

    def __init__(self, model: int, corpus: int):
        self.model, self.corpus = model, corpus
        super().__init__(
            f"asked for a model of {model:,} tokens, but the corpus is written in {corpus:,}. "
            "Give vocabulary under [corpus] only, and models follow it."
        )


class VocabularyBeyondText(CorpusError):
    """More tokens than can be learned from the text."""

    def __init__(self, asked: int, found: int, size: int):
        self.asked, self.found, self.size = asked, found, size
        super().__init__(
            f"asked for a vocabulary of {asked:,}, but {size:,} bytes of training text give {found:,} tokens that "
            f"occur twice. Lower it to {found:,} or less, or add text."
        )


# --- training --------------------------------------------------------------------------------------


class TrainError(ScalingError):
    """A run that cannot start or go on."""


class DiskFull(TrainError):
    """A file that the disk, a quota or a size limit had no room for."""

    def __init__(self, what: str, path: str | Path, reason: str, free: int):
        self.what, self.path, self.reason, self.free = what, str(path), reason, free
        super().__init__(
            f"{what} had to be written to {self.path}, but there was no room ({reason}; {free / 1e9:.3g} GB free). "
            "What was there before is whole. Free some space and type the same command again; it goes on from there."
        )


class ModelTooLarge(TrainError):
    """A model, or an ensemble that must train together, with no room in memory."""

    def __init__(self, name: str, models: int, needed: float, memory: float, workers: int):
        self.name, self.models, self.needed, self.memory, self.workers = name, models, needed, memory, workers
        what = name if models == 1 else f"{models} models together ({name} and its like)"
        share = f"{workers} workers share" if workers > 1 else "one worker has"
        fewer = ", or let fewer work at once with --workers 1" if needed <= memory < needed * workers else ""
        super().__init__(
            f"asked to train {what}, which takes about {needed / 1e9:.3g} GB of memory, but {share} "
            f"{memory / 1e9:.3g} GB. Lower tokens_per_step or the width{fewer}."
        )


class OutOfDeviceMemory(TrainError):
    """A stack that was planned to fit into a GPU's memory, and did not."""

    def __init__(self, name: str, models: int, passes: int, said: str):
        self.name, self.models, self.passes = name, models, passes
        first = said.partition("\n")[0]
        super().__init__(
            f"asked to train {models} models ({name} and its like) in {passes} passes a step, but the GPU has no room "
            f"for them: {first} Lower tokens_per_step, or let what else is on it end; finished rows are kept."
        )


class Diverged(TrainError):
    """A model that cannot learn any more; its rows say so, and training ends where all of a stack have come to it."""

    def __init__(self, name: str, what: str, step: int):
        self.name, self.what, self.step = name, what, step
        super().__init__(
            f"asked to train {name}, but its {what} not finite at step {step}. "
            "Lower its peak_lr, or lengthen warmup_tokens."
        )


class CorruptCheckpoint(TrainError):
    """A checkpoint that is cut short or changed."""

    def __init__(self, path: str | Path, reason: str):
        self.path, self.reason = str(path), reason
        super().__init__(
            f"the checkpoint {self.path} cannot be used: {reason}. Delete it to train that stack from its start."
        )


class DeviceNotFound(TrainError):
    """A device that was asked for and is not there."""

    def __init__(self, asked: str):
        self.asked = asked
        super().__init__(
            f"asked to train on {asked!r}, but this machine and this build of torch have no such device. "
            "Use --device cpu, or --device auto to take what there is."
        )


class WorkersFailed(TrainError):
    """Processes of a sweep that ended with an error; what they had finished is in the store."""

    def __init__(self, names: list[str], log: str | Path, tail: str):
        self.names, self.log, self.tail = names, str(log), tail
        super().__init__(
            f"{len(names)} of the sweep's processes failed ({'; '.join(names)}). "
            f"What the first said last, its log being {self.log}:\n{tail}\n"
            "The rows and checkpoints made so far are kept; mend the cause and type the same command again."
        )


# --- laws and fits ---------------------------------------------------------------------------------


class LawError(ScalingError):
    """A function that cannot serve as a law."""


class NotTraceable(LawError):
    """A law whose body asks for a value, where its formula or its derivatives are wanted."""

    def __init__(self, used: str):
        self.used = used
        super().__init__(
            f"a law was traced for its formula, but its body uses {used}, which leaves no formula behind. "
            "Write it with operators and ufuncs (np.exp, np.log1p, np.minimum, ...)."
        )


class NotALaw(LawError):
    """A function whose signature does not say what is measured and what is fitted."""

    def __init__(self, law: str, reason: str):
        self.law, self.reason = law, reason
        super().__init__(
            f"{law} was given as a law, but {reason}. A law takes its columns by position and its parameters "
            "by keyword, e.g. def law(N, D, *, E, A, alpha)."
        )


class UnknownLaw(LawError):
    """A name that no law of the suite has."""

    def __init__(self, given: str, known: tuple[str, ...], closest: str | None):
        self.given, self.known, self.closest = given, known, closest
        guess = f"Did you mean {closest!r}? " if closest else ""
        super().__init__(
            f"asked for the law {given!r}, which does not exist. {guess}Known: {', '.join(known)}."
        )


class LawFails(LawError):
    """A law that raises, or that does not return one value for each row."""

    def __init__(self, law: str, reason: str):
        self.law, self.reason = law, reason
        super().__init__(
            f"{law} was called with columns of shape (rows,) and parameters of shape (fits, 1), but {reason}. "
            "Write it with operators and numpy functions that broadcast."
        )


class LawReturnsNaN(LawError):
    """A law without a usable value for every run at any start."""

    def __init__(
        self,
        law: str,
        starts: int,
        parameters: dict[str, float],
        run: dict[str, float],
        value: float,
        wanted: str,
    ):
        self.law, self.starts, self.parameters, self.run, self.value = law, starts, parameters, run, value
        tried, there = (", ".join(f"{k}={v:.3g}" for k, v in named.items()) for named in (parameters, run))
        super().__init__(
            f"{law} was tried at {starts} starts, and at none is it {wanted} for every run: e.g. it gave {value:.3g} "
            f"for the run with {there} at {tried}. "
            "Keep it away from there, e.g. fit(..., bounds={name: (low, high)}), or annotate its parameters."
        )


class FitError(ScalingError):
    """A fit that cannot be made from these runs."""


class TooFewRuns(FitError):
    """No more runs than free parameters: the law goes through every one, and nothing says how sure it is."""

    def __init__(self, law: str, free: tuple[str, ...], given: int):
        self.law, self.free, self.given = law, free, given
        super().__init__(
            f"{law} has {len(free)} free parameters ({', '.join(free)}) and needs more runs than that, but got {given} "
            f"runs. Train more, or hold parameters still, e.g. fit(..., fixed={{{free[0]!r}: 1.69}})."
        )


class NonFiniteLoss(FitError):
    """A loss that is NaN, infinite, zero or negative."""

    def __init__(self, column: str, rows: int, first: int, value: float):
        self.column, self.rows, self.first, self.value = column, rows, first, value
        super().__init__(
            f"a fit needs a finite {column} above zero, but {rows} of the runs have none (row {first}: {value:g}). "
            f"Leave them out and say so, e.g. runs.filter(pl.col({column!r}).is_finite() & (pl.col({column!r}) > 0))."
        )


class BadPredictor(FitError):
    """A column that a law reads with values it cannot be read at."""

    def __init__(self, column: str, rows: int, first: int, value: object, wanted: str):
        self.column, self.rows, self.first, self.value, self.wanted = column, rows, first, value, wanted
        super().__init__(
            f"column {column} must be {wanted}, but {rows} of the runs are not (row {first}: {value}). "
            "Correct the column, or leave those runs out."
        )


class TooFewRunsToAudit(FitError):
    """Too few runs to leave some out and fit the rest."""

    def __init__(self, law: str, needed: int, given: int):
        self.law, self.needed, self.given = law, needed, given
        super().__init__(
            f"an audit of {law} leaves runs out and needs {needed} or more, but got {given}. "
            f"Train more, or fit once and say so: fit({law}, runs)."
        )


class EmptyStep(FitError):
    """A step of a chain that no runs belong to."""

    def __init__(self, step: dict[str, object], combinations: int):
        self.step, self.combinations = step, combinations
        asked = ", ".join(f"{name} = {value!r}" for name, value in step.items())
        super().__init__(
            f"asked for the runs with {asked}, but there are none among the {combinations} combinations of these "
            "columns. Name one that is there, e.g. from runs.select(...).unique()."
        )


class TooFewScales(FitError):
    """Too few distinct values of a predictor to tell a floor from a slope."""

    def __init__(self, law: str, column: str, found: tuple[float, ...], needed: int):
        self.law, self.column, self.found, self.needed = law, column, found, needed
        values = ", ".join(f"{v:g}" for v in found)
        super().__init__(
            f"{law} needs {needed} scales of {column} or more, but the runs have {len(found)} ({values}). "
            f"Train at more values of {column}, or hold a parameter still, e.g. fit(..., fixed={{...}})."
        )


class CurveTooShort(FitError):
    """A learning curve with too few points to say where it goes."""

    def __init__(self, column: str, found: tuple[float, ...], needed: int):
        self.column, self.found, self.needed = column, found, needed
        values = ", ".join(f"{v:g}" for v in found)
        super().__init__(
            f"asked to extrapolate along {column}, which takes {needed} values of it or more, but the runs have "
            f"{len(found)} ({values}). Add points at other values of {column}."
        )


class CollinearPredictors(FitError):
    """Predictors that move together, so that their effects cannot be told apart."""

    def __init__(self, law: str, columns: tuple[str, ...], spread: float):
        self.law, self.columns, self.spread = law, columns, spread
        names = " and ".join(columns)
        super().__init__(
            f"{law} tells {names} apart, but in these runs one follows from the other to within {spread:.2g} % "
            "(a power law between them). Add runs off that line, or hold a parameter still, e.g. fit(..., fixed={...})."
        )


class UnknownParameter(FitError):
    """A parameter that the law does not have."""

    def __init__(self, law: str, option: str, given: str, known: tuple[str, ...], closest: str | None):
        self.law, self.option, self.given, self.known, self.closest = law, option, given, known, closest
        guess = f"Did you mean {closest!r}? " if closest else ""
        super().__init__(
            f"{option} names the parameter {given!r}, which {law} does not have. {guess}It has {', '.join(known)}."
        )


class NothingToFit(FitError):
    """Every parameter of the law is held still."""

    def __init__(self, law: str, held: tuple[str, ...]):
        self.law, self.held = law, held
        super().__init__(
            f"{law} was to be fitted, but all its parameters are held still ({', '.join(held)}). "
            "Free one, or call the law itself."
        )


class BoundsExcludeStarts(FitError):
    """Bounds between which there is no value to start from."""

    def __init__(self, law: str, parameter: str, low: float, high: float, allowed: tuple[float, float]):
        self.law, self.parameter, self.low, self.high, self.allowed = law, parameter, low, high, allowed
        super().__init__(
            f"{parameter} of {law} was bounded to [{low:g}, {high:g}], but the law allows it in "
            f"[{allowed[0]:g}, {allowed[1]:g}], which leaves nothing to start from. Give bounds=(low, high) with "
            "low < high that overlap it."
        )


class BadOption(FitError):
    """An option of a fit that cannot be carried out."""

    def __init__(self, option: str, given: object, wanted: str):
        self.option, self.given, self.wanted = option, given, wanted
        super().__init__(f"{option}={given!r} was asked for, but it must be {wanted}. Change it in the call.")


class DuplicateRuns(FitError):
    """The same run more than once."""

    def __init__(self, rows: int, first: int, by: str):
        self.rows, self.first, self.by = rows, first, by
        super().__init__(
            f"every run counts once, but {rows} rows repeat an earlier one in {by} (the first is row {first}). "
            "Drop them with runs.unique(), or say what each row counts with fit(..., weights=...)."
        )


class MixedConventions(FitError):
    """Rows that count the same thing in different ways."""

    def __init__(self, column: str, found: tuple[str | None, ...], predictor: str):
        self.column, self.found, self.predictor = column, found, predictor
        words = " and ".join("nothing" if one is None else repr(one) for one in found)
        super().__init__(
            f"{predictor} must mean one thing in a fit, but {column} says {words}. "
            f"Fit them apart, e.g. runs.filter(pl.col({column!r}) == {found[0]!r}), or convert one."
        )


class MixedUnits(FitError):
    """A count that seems to be in one unit in some rows and in another in the rest."""

    def __init__(self, column: str, small: float, large: float):
        self.column, self.small, self.large = column, small, large
        super().__init__(
            f"column {column} has {small:g} in some rows and {large:g} in others, with nothing between: this looks "
            "like two units (millions beside single ones). Bring them to one, or pass weights= if they are meant."
        )


class NothingHeldOut(FitError):
    """A held-out check with nothing to fit or nothing to predict."""

    def __init__(self, asked: str, fitted: int, held: int):
        self.asked, self.fitted, self.held = asked, fitted, held
        super().__init__(
            f"holding out {asked} leaves {fitted} runs to fit and {held} to predict. "
            "Add runs over more than half a decade of compute, or name a column of true and false as holdout=."
        )


class NotALikelihood(FitError):
    """An information criterion of a fit whose objective is no likelihood."""

    def __init__(self, law: str, method: str):
        self.law, self.method = law, method
        super().__init__(
            f"AICc and BIC compare likelihoods, but {law} was fitted by {method}, which is none. Use "
            "objective='huber_likelihood' or 'gaussian', or compare held-out errors with scaling.compare."
        )


class UnreadableFit(FitError):
    """A file that is not a saved fit."""

    def __init__(self, path: str | Path, reason: str):
        self.path, self.reason = str(path), reason
        super().__init__(
            f"{self.path} cannot be read as a saved fit ({reason}). Save it again with Fit.save, or restore the file."
        )


class LawNotSaved(FitError):
    """A saved fit whose law is not one of the suite's."""

    def __init__(self, path: str | Path, law: str):
        self.path, self.law = str(path), law
        super().__init__(
            f"{self.path} holds a fit of {law}, which is not a law of the suite, so its formula is not there. "
            f"Pass the function, e.g. Fit.load({self.path!r}, law={law})."
        )


class NothingRepeats(FitError):
    """A question about repeated tokens, asked of runs that repeat none."""

    def __init__(self, runs: int):
        self.runs = runs
        super().__init__(
            f"asked what a repeated token is worth, but all {runs} runs saw every token once. Train some with a "
            "unique_budget below their D and max_epochs above 1, as in runs/repetition/study.toml."
        )


class NoDraws(FitError):
    """A forecast from a fit that knows no uncertainty."""

    def __init__(self, law: str):
        self.law = law
        super().__init__(
            f"asked for a forecast of {law}, but its fit has no bootstrap draws, so nothing says how sure it is. "
            "Fit it again with bootstrap=1000."
        )


class BadPath(FitError):
    """A path of compute that no compute can take."""

    def __init__(self, what: str, given: object, wanted: str):
        self.what, self.given, self.wanted = what, given, wanted
        super().__init__(
            f"asked for a path of compute with {what}={given!r}, but it must be {wanted}. "
            "For example ComputePath(start_year=2025, start_flops=1e20, growth=(4, 5))."
        )


class PathBeforeRuns(FitError):
    """A path of compute that starts below the smallest run."""

    def __init__(self, start: float, smallest: float):
        self.start, self.smallest = start, smallest
        super().__init__(
            f"asked for a path from {start:.3g} FLOPs, but the runs begin at {smallest:.3g}, and a law says nothing "
            "below them. Start the path there or later, or add smaller runs."
        )


class NegativeMonths(FitError):
    """A silence or a gap between releases that is not a positive time."""

    def __init__(self, what: str, found: object):
        self.what, self.found = what, found
        super().__init__(
            f"asked for {what} of {found} months, but that is no time. Give a positive number of months."
        )


class ScoresOutOfRange(FitError):
    """Scores that are not shares."""

    def __init__(self, low: float, high: float, count: int):
        self.low, self.high, self.count = low, high, count
        super().__init__(
            f"asked for an index of scores in [0, 1], but {count} lie outside: they run from {low:g} to {high:g}. "
            "Divide percentages by 100, and drop rows without a score."
        )


class LonelyBenchmark(FitError):
    """A benchmark that only one model has taken, so that nothing ties it to the rest."""

    def __init__(self, benchmark: str, models: int):
        self.benchmark, self.models = benchmark, models
        super().__init__(
            f"asked for an index with {benchmark!r}, but only {models} model took it. Drop that benchmark."
        )


class MissingAnchor(FitError):
    """The benchmark that sets zero and unit of the index is not among the scores."""

    def __init__(self, anchor: str, known: list[str]):
        self.anchor, self.known = anchor, known
        super().__init__(
            f"asked for an index anchored on {anchor!r}, but the scores are on {', '.join(known[:5]) or 'nothing'}. "
            "Name one of these as anchor."
        )


class TooFewRecords(FitError):
    """Too few records for a trend with a break."""

    def __init__(self, found: int, needed: int):
        self.found, self.needed = found, needed
        super().__init__(
            f"asked for the trend of {found} records, but a line and a broken line need {needed}. "
            "Take scores over a longer time."
        )


class DatesOutOfOrder(FitError):
    """Dates of a replay that do not go forward."""

    def __init__(self, earlier: object, later: object):
        self.earlier, self.later = earlier, later
        super().__init__(
            f"asked for a replay at {earlier} and then at {later}, but that goes back. Sort the dates, each one once."
        )


# --- scenarios -------------------------------------------------------------------------------------


class ScenarioError(ScalingError):
    """Assumptions that no forecast can be made from."""


class MissingScenario(ScenarioError):
    """Neither a scenario of the suite nor a file."""

    def __init__(self, given: str, known: tuple[str, ...]):
        self.given, self.known = given, known
        super().__init__(
            f"asked for the scenario {given}, but there is no such file, and the suite has {', '.join(known)}. "
            "Name one of these, or a TOML file."
        )


class UnreadableScenario(ScenarioError):
    """A scenario file that is not TOML."""

    def __init__(self, path: str | Path, reason: str):
        self.path, self.reason = str(path), reason
        super().__init__(f"{self.path} cannot be read as TOML: {reason}. Correct that place in the file.")


class MissingInput(ScenarioError):
    """A number without which the forecast cannot be made."""

    def __init__(self, scenario: str, missing: list[str], meanings: dict[str, str]):
        self.scenario, self.missing = scenario, missing
        listed = "; ".join(f"{name}: {meanings[name]}" for name in missing)
        super().__init__(
            f"scenario {scenario} was asked for a wall, but it lacks {listed}. Add [inputs.{missing[0]}] to the file."
        )


class UnknownInput(ScenarioError):
    """A name that no input of a forecast has."""

    def __init__(self, given: str, known: tuple[str, ...], closest: str | None, where: str = "the scenario"):
        self.given, self.known, self.closest = given, known, closest
        guess = f"Did you mean {closest!r}? " if closest else ""
        super().__init__(f"{where} has {given!r}, which is not known. {guess}Known: {', '.join(known)}.")


class UnknownDistribution(ScenarioError):
    """A distribution that cannot be drawn from."""

    def __init__(self, name: str, given: str, known: tuple[str, ...], closest: str | None):
        self.name, self.given, self.known, self.closest = name, given, known, closest
        guess = f"Did you mean {closest!r}? " if closest else ""
        super().__init__(
            f"{name} was asked to be {given!r}, which is not a known distribution. {guess}Known: {', '.join(known)}."
        )


class LowAboveHigh(ScenarioError):
    """An interval whose low end is above its high end."""

    def __init__(self, name: str, low: float, high: float):
        self.name, self.low, self.high = name, low, high
        super().__init__(
            f"{name} was given the interval [{low:g}, {high:g}], whose low end is above its high end. Exchange them."
        )


class NegativeGrowth(ScenarioError):
    """A growth that shrinks."""

    def __init__(self, name: str, low: float, unit: str):
        self.name, self.low, self.unit = name, low, unit
        least = "0" if unit.startswith("percent") else "1"
        super().__init__(
            f"{name} was asked to grow by {low:g} {unit}, which is negative growth. Give {least} or more."
        )


class WrongUnit(ScenarioError):
    """A unit in which an input cannot be given."""

    def __init__(self, name: str, given: str, known: tuple[str, ...]):
        self.name, self.given, self.known = name, given, known
        super().__init__(
            f"{name} was given in {given!r}, but it is counted in {' or '.join(known)}. Convert it."
        )


class InputOutOfRange(ScenarioError):
    """A number that its input cannot be."""

    def __init__(self, name: str, found: float, unit: str, wanted: str):
        self.name, self.found, self.unit, self.wanted = name, found, unit, wanted
        super().__init__(
            f"{name} was given as {found:g} {unit}, but it must be {wanted}. Change it in the file."
        )


class BadInput(ScenarioError):
    """A key of a scenario that is missing or cannot be meant."""

    def __init__(self, name: str, key: str, found: object, wanted: str):
        self.name, self.key, self.found, self.wanted = name, key, found, wanted
        said = f"lacks {key}, which" if found is None else f"has {key} = {found!r}, but it"
        super().__init__(f"{name} {said} must be {wanted}. Change it in the file.")


# --- figures ---------------------------------------------------------------------------------------


class PlotError(ScalingError):
    """Something that cannot be drawn."""


class UnknownResult(PlotError):
    """An object that no figure is made for."""

    def __init__(self, given: object, known: tuple[str, ...]):
        self.given, self.known = given, known
        super().__init__(
            f"asked to draw a {type(given).__name__}, but figures are made for {', '.join(known)}. "
            "Pass one of these, e.g. plot(fit(chinchilla, runs))."
        )


class NothingToDraw(PlotError):
    """A figure without a single mark."""

    def __init__(self, figure: str, found: str):
        self.figure, self.found = figure, found
        super().__init__(
            f"asked to draw {figure}, but there are {found}. Look at the table itself, or add runs until some do."
        )


# --- reports ---------------------------------------------------------------------------------------


class ReportError(ScalingError):
    """A notebook that cannot be turned into a report."""


class MissingNotebook(ReportError):
    """No notebook of that name."""

    def __init__(self, name: str, folder: str | Path, found: list[str]):
        self.name, self.folder, self.found = name, str(folder), found
        there = f"there are {', '.join(found)}" if found else "there is none"
        super().__init__(
            f"asked for a report of {name!r}, but in {self.folder} {there}. Name one of these, or add {name}.ipynb."
        )


class UnreadableNotebook(ReportError):
    """A file that is not a notebook."""

    def __init__(self, path: str | Path, reason: str):
        self.path, self.reason = str(path), reason
        super().__init__(
            f"{self.path} cannot be read as a notebook ({reason}). Restore it from version control."
        )


class FailedCell(ReportError):
    """A cell of a notebook that raised."""

    def __init__(self, path: str | Path, number: int, cells: int, source: str, error: str):
        self.path, self.number, self.cells, self.source, self.error = str(path), number, cells, source, error
        first = next((line for line in source.splitlines() if line.strip()), "")
        super().__init__(
            f"code cell {number} of {cells} in {self.path}, which begins {first.strip()!r}, failed with {error}. "
            "Run it in JupyterLab to see the whole trace; the last report was left as it is."
        )
