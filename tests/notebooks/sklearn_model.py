# ruff: noqa
# %%
import numpy as np
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

X, y = make_classification(n_samples=300, n_features=8, n_informative=4, random_state=3)
train, test, y_train, y_test = train_test_split(X, y, random_state=3)
train.shape, int(y_test.sum())
# %%
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
model.fit(train, y_train)
round(model.score(test, y_test), 4)
# %% a step of the notebook's own inside of a pipeline
from sklearn.base import BaseEstimator, TransformerMixin


class Clip(BaseEstimator, TransformerMixin):
    def __init__(self, limit=2.0):
        self.limit = limit

    def fit(self, X, y=None):
        self.seen_ = X.shape[0]
        return self

    def transform(self, X):
        return np.clip(X, -self.limit, self.limit)


clipped = make_pipeline(Clip(1.5), model)
clipped.fit(train, y_train).score(test, y_test).__round__(4)
# %% the pipeline holds the very model that has a name
print(clipped.steps[1][1] is model, clipped[0].seen_, type(clipped[0]) is Clip)
# %%
from sklearn.ensemble import RandomForestClassifier

forest = RandomForestClassifier(20, random_state=0).fit(train, y_train)
importance = forest.feature_importances_
int(importance.argmax()), forest.predict(test[:5]).tolist()
# %%
from sklearn.model_selection import cross_val_score

scores = cross_val_score(forest, X, y, cv=3)
scores.round(3).tolist()
# %%
wrong = np.flatnonzero(forest.predict(test) != y_test)
forest.set_params(n_estimators=25, warm_start=True).fit(train, y_train)
len(forest.estimators_), len(wrong)
# %%
from sklearn.cluster import KMeans

kmeans = KMeans(3, n_init=2, random_state=1).fit(X)
np.bincount(kmeans.labels_).tolist(), kmeans.predict(test[:4]).tolist()
