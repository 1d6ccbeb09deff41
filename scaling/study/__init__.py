"""What is asked of a sweep: study files, checked before anything runs. No torch."""

from scaling.study.grid import read_study
from scaling.study.spec import DataSpec, ModelSpec, OptimSpec, ScheduleSpec, Stage, Study, Trunk

__all__ = ["DataSpec", "ModelSpec", "OptimSpec", "ScheduleSpec", "Stage", "Study", "Trunk", "read_study"]
