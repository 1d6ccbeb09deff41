"""What is asked of a sweep: study files, checked before anything runs. No torch."""

from scaling.study.grid import Study, Trunk, difference, digest, read_study, spell_out

__all__ = ["Study", "Trunk", "difference", "digest", "read_study", "spell_out"]
